#include "cpu/cgroup.h"

#include <algorithm>
#include <fstream>

namespace gattling::cpu {
namespace {

template <typename T>
void narrow_to(std::optional<T>& limit, T value) {
  limit = limit ? std::min(*limit, value) : value;
}

// Nothing where the file is not there or holds a word ("max").
std::optional<size_t> number_in(const std::string& path) {
  size_t value = 0;
  std::ifstream file(path);
  return file >> value ? std::optional(value) : std::nullopt;
}

// Of memory.stat: file pages that are given back when memory is short.
size_t reclaimable(const std::string& folder) {
  std::ifstream file(folder + "/memory.stat");
  std::string key;
  size_t sum = 0;
  for (size_t bytes = 0; file >> key >> bytes;)
    if (key == "inactive_file" || key == "active_file") sum += bytes;
  return sum;
}

void add_memory(const std::string& folder, GroupLimits& limits) {
  const auto limit = number_in(folder + "/memory.max"), current = number_in(folder + "/memory.current");
  if (!limit || !current) return;
  const size_t used = *current - std::min(*current, reclaimable(folder));
  narrow_to(limits.memory, *limit - std::min(*limit, used));
}

// cpu.max: "QUOTA PERIOD", in microseconds.
void add_cpus(const std::string& folder, GroupLimits& limits) {
  std::ifstream file(folder + "/cpu.max");
  double quota = 0, period = 0;
  if (file >> quota >> period && period > 0) narrow_to(limits.cpus, std::max(1, static_cast<int>(quota / period)));
}

}  // namespace

GroupLimits group_limits(const std::string& root, const std::string& self) {
  GroupLimits limits;
  std::string group;  // "0::/path"
  std::ifstream file(self);
  while (std::getline(file, group) && !group.starts_with("0::"))
    ;
  if (!group.starts_with("0::")) return limits;
  group.erase(0, 3);
  if (group == "/") group.clear();
  for (;;) {
    add_memory(root + group, limits);
    add_cpus(root + group, limits);
    const size_t slash = group.rfind('/');
    if (slash == std::string::npos) return limits;
    group.erase(slash);
  }
}

}  // namespace gattling::cpu
