#include "model/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "backend/error.h"

namespace gattling {
namespace {

// Whole pages around a range. Neighbours share the outer ones: that costs them a read, never their content.
void advise(std::span<const std::byte> file, std::span<const std::byte> range, int advice) {
  if (range.empty()) return;
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t base = reinterpret_cast<uintptr_t>(file.data());
  const uintptr_t first = reinterpret_cast<uintptr_t>(range.data()) / page * page;
  const uintptr_t last = reinterpret_cast<uintptr_t>(range.data()) + range.size();
  // Advice: a refusal changes speed and memory, not results.
  if (first >= base && last <= base + file.size()) madvise(reinterpret_cast<void*>(first), last - first, advice);
}

// A descriptor that closes itself.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

}  // namespace

MappedFile::MappedFile(const std::string& path, size_t max_bytes) : path_(path) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  check(file.fd >= 0, path, " cannot be opened: ", std::strerror(errno));
  struct stat status;
  check(fstat(file.fd, &status) == 0, path, " cannot be examined: ", std::strerror(errno));
  check(S_ISREG(status.st_mode), path, " must be a regular file");
  size_ = static_cast<size_t>(status.st_size);
  check(size_ <= max_bytes, path, " holds ", size_, " bytes; at most ", max_bytes, " are expected");
  if (size_ == 0) return;  // mmap refuses
  void* data = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  check(data != MAP_FAILED, path, " cannot be mapped: ", std::strerror(errno));
  data_ = static_cast<const std::byte*>(data);
}

MappedFile::~MappedFile() {
  if (data_) munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

void MappedFile::prefetch(std::span<const std::byte> range) const {
  advise(bytes(), range, MADV_WILLNEED);
}

void MappedFile::release(std::span<const std::byte> range) const {
  advise(bytes(), range, MADV_DONTNEED);
}

}  // namespace gattling
