#include "cpu/machine.h"

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <set>
#include <thread>

#include "backend/error.h"
#include "cpu/cgroup.h"
#ifdef GATTLING_X86
#include <cpuid.h>

#include "cpu/amx.h"
#endif

namespace gattling::cpu {
namespace {

#ifdef GATTLING_X86
// The builtins also ask whether the system saves the wide registers; F16C has none of its own and comes with AVX.
bool has_avx2() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __get_cpuid(1, &a, &b, &c, &d) &&
         (c & bit_F16C);
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool has_avx512vnni() {
  return has_avx512() && __builtin_cpu_supports("avx512vnni");
}
#endif

bool always() {
  return true;
}

struct Unit {
  const char* name;
  bool (*runs)();  // here
  const Kernels& (*kernels)();
};

// Best first, and last the twin.
constexpr Unit kUnits[] = {
#ifdef GATTLING_X86
    {"amx", [] { return has_avx512vnni() && has_amx(); }, kernels_amx},
    {"avx512vnni", has_avx512vnni, kernels_avx512vnni},
    {"avx512", has_avx512, kernels_avx512},
    {"avx2", has_avx2, kernels_avx2},
#endif
#ifdef GATTLING_ARM
    {"neon", always, kernels_neon},  // every 64-bit Arm has it
#endif
    {"plain", always, kernels_plain},
    {"amx-twin", always, kernels_amx_twin},
};

std::string first_line(const std::string& path) {
  std::string line;
  std::ifstream file(path);
  std::getline(file, line);
  return line;
}

// /proc/meminfo's MemAvailable, in bytes.
size_t memory_of_machine() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  for (size_t kib = 0; file >> key >> kib;) {
    if (key == "MemAvailable:") return kib * 1024;
    std::getline(file, unit);
  }
  return std::numeric_limits<size_t>::max();
}

}  // namespace

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> all;
  for (const Unit& unit : kUnits)
    if (unit.runs()) all.push_back(&unit.kernels());
  return all;
}

std::vector<std::string> compiled_units() {
  std::vector<std::string> names;
  for (const Unit& unit : kUnits) names.push_back(unit.name);
  names.pop_back();  // the twin
  return names;
}

const Kernels& find_kernels(const std::string& asked) {
  const char* variable = std::getenv("GATTLING_CPU");
  const std::string name = asked.empty() && variable ? variable : asked;
  for (const Unit& unit : kUnits)
    if ((name.empty() || name == unit.name) && unit.runs()) return unit.kernels();
  std::string names;
  for (const Kernels* kernels : available_kernels()) names += (names.empty() ? "" : ", ") + std::string(kernels->unit);
  fail(asked.empty() ? "GATTLING_CPU: the" : "The", " arithmetic unit \"", name,
       "\" is not one that this machine has: ", names, ".");
}

int physical_cores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const std::string siblings =
        first_line(concat("/sys/devices/system/cpu/cpu", cpu, "/topology/thread_siblings_list"));
    cores.insert(siblings.empty() ? concat("cpu", cpu) : siblings);
  }
  const int all = std::max(1, static_cast<int>(cores.size()));
  // More threads than the quota pays for would stop all of them for the rest of each period.
  return std::min(all, group_limits().cpus.value_or(all));
}

size_t available_memory() {
  const size_t all = memory_of_machine();
  return std::min(all, group_limits().memory.value_or(all));
}

}  // namespace gattling::cpu
