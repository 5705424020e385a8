#include "cpu/machine.h"

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <set>
#include <thread>

#include "backend/error.h"
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

// A number of bytes, or the maximum where there is none ("max", no file).
size_t bytes_in(const std::string& path) {
  size_t value = 0;
  std::ifstream file(path);
  return file >> value ? value : std::numeric_limits<size_t>::max();
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

// What is left of memory.max in this process's cgroup v2 group and the groups around it.
size_t memory_of_group() {
  constexpr size_t kNone = std::numeric_limits<size_t>::max();
  std::string group = first_line("/proc/self/cgroup");  // "0::/path"
  if (group.rfind("0::", 0) != 0) return kNone;
  group.erase(0, 3);
  size_t left = kNone;
  for (;;) {
    const std::string folder = "/sys/fs/cgroup" + group;
    const size_t limit = bytes_in(folder + "/memory.max");
    const size_t used = bytes_in(folder + "/memory.current");
    if (limit != kNone && used != kNone) left = std::min(left, limit > used ? limit - used : 0);
    const size_t slash = group.rfind('/');
    if (slash == std::string::npos) return left;
    group.erase(slash);
  }
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
  return std::max(1, static_cast<int>(cores.size()));
}

size_t available_memory() {
  return std::min(memory_of_machine(), memory_of_group());
}

}  // namespace gattling::cpu
