#include "cpu/cgroup.h"

#include <filesystem>

#include "files.h"
#include "test.h"

using namespace gattling::cpu;

namespace {

// A hierarchy with the group /pod/box, and the file that puts the process there.
struct Groups {
  Groups() {
    std::filesystem::create_directories(folder.path + "/pod/box");
    folder.write("self", "0::/pod/box\n");
  }
  GroupLimits limits() const { return group_limits(folder.path, folder.path + "/self"); }

  test::TempFolder folder;
};

}  // namespace

TEST(no_file_is_no_limit) {
  const Groups groups;
  CHECK(!groups.limits().memory && !groups.limits().cpus);
  CHECK(!group_limits("/nowhere", "/nowhere/self").memory);
  groups.folder.write("pod/box/memory.max", "max\n");
  groups.folder.write("pod/box/memory.current", "5\n");
  groups.folder.write("pod/box/cpu.max", "max 100000\n");
  CHECK(!groups.limits().memory && !groups.limits().cpus);
}

TEST(page_cache_is_free_memory) {
  const Groups groups;
  groups.folder.write("pod/box/memory.max", "1000\n");
  groups.folder.write("pod/box/memory.current", "900\n");
  CHECK(groups.limits().memory == 100);
  groups.folder.write("pod/box/memory.stat", "anon 200\nfile 700\nkernel 0\ninactive_file 500\nactive_file 150\n");
  CHECK(groups.limits().memory == 750);
  groups.folder.write("pod/box/memory.stat", "inactive_file 5000\n");
  CHECK(groups.limits().memory == 1000);
  groups.folder.write("pod/box/memory.current", "2000\n");
  groups.folder.write("pod/box/memory.stat", "");
  CHECK(groups.limits().memory == 0);
}

TEST(the_narrowest_group_counts) {
  const Groups groups;
  groups.folder.write("pod/memory.max", "1000\n");
  groups.folder.write("pod/memory.current", "950\n");
  groups.folder.write("pod/box/memory.max", "800\n");
  groups.folder.write("pod/box/memory.current", "100\n");
  CHECK(groups.limits().memory == 50);
  groups.folder.write("pod/cpu.max", "400000 100000\n");
  CHECK(groups.limits().cpus == 4);
  groups.folder.write("pod/box/cpu.max", "250000 100000\n");
  CHECK(groups.limits().cpus == 2);
  groups.folder.write("cpu.max", "50000 100000\n");
  CHECK(groups.limits().cpus == 1);
}

TEST(a_process_at_the_root_or_beside_older_hierarchies) {
  const Groups groups;
  groups.folder.write("memory.max", "70\n");
  groups.folder.write("memory.current", "7\n");
  groups.folder.write("self", "0::/\n");
  CHECK(groups.limits().memory == 63);
  groups.folder.write("self", "4:memory:/old\n0::/pod\n");
  CHECK(groups.limits().memory == 63);
}
