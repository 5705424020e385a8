// What a control group leaves a process (Linux's cgroup v2: Documentation/admin-guide/cgroup-v2.rst).
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace gattling::cpu {

// Of a group and those around it, the narrowest; empty where there is no limit, or no cgroup v2.
struct GroupLimits {
  std::optional<size_t> memory;  // bytes that may still be taken; what its page cache would give back counts as free
  std::optional<int> cpus;       // that its quota pays for, 1 at least
};

// root: where the hierarchy is mounted; self: the process's cgroup file.
GroupLimits group_limits(const std::string& root = "/sys/fs/cgroup", const std::string& self = "/proc/self/cgroup");

}  // namespace gattling::cpu
