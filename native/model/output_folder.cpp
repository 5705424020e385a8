#include "model/output_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "backend/error.h"

namespace gattling {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTemporary = ".tmp";

}  // namespace

OutputFile::OutputFile(const std::string& path)
    : path_(path), fd_(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
  check(fd_ >= 0, path_, " cannot be created: ", std::strerror(errno));
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
}

void OutputFile::write(std::span<const std::byte> bytes, uint64_t offset) const {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    check(n > 0, path_, " cannot be written: ", std::strerror(n < 0 ? errno : ENOSPC));
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
}

void OutputFile::close() {
  // On the disk before it gets its name: a run that goes on after a power cut takes files with names for whole ones.
  const bool synced = fsync(fd_) == 0 || errno == EINVAL || errno == ENOTSUP;
  const int reason = errno;
  const bool closed = ::close(std::exchange(fd_, -1)) == 0;
  check(synced, path_, " cannot be written: ", std::strerror(reason));
  check(closed, path_, " cannot be written: ", std::strerror(errno));
}

OutputFolder::OutputFolder(std::string path) : path_(std::move(path)) {
  std::error_code error;
  created_ = fs::create_directories(path_, error);
  check(!error && fs::is_directory(path_, error), path_,
        " cannot be created: ", error ? error.message() : "it is not a folder");
}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  for (size_t i = 0; i < names_.size(); ++i) fs::remove(path_of(names_[i]) + (i < n_named_ ? "" : kTemporary), ignored);
  if (created_) fs::remove(path_, ignored);
}

bool OutputFolder::holds(const std::string& name) const {
  std::error_code ignored;
  return fs::exists(path_of(name), ignored);
}

void OutputFolder::check_space(uint64_t bytes) const {
  std::error_code error;
  const uint64_t available = fs::space(path_, error).available;
  check(error || bytes <= available, path_, " needs ", bytes, " bytes, but its disk has only ", available, " free");
}

OutputFile OutputFolder::add(const std::string& name) {
  names_.push_back(name);
  return OutputFile(path_of(name) + kTemporary);
}

void OutputFolder::commit() {
  for (; n_named_ < names_.size(); ++n_named_) {
    const std::string path = path_of(names_[n_named_]);
    std::error_code error;
    fs::rename(path + kTemporary, path, error);
    check(!error, path, " cannot be written: ", error.message());
  }
  names_.clear();
  n_named_ = 0;
  created_ = false;
}

}  // namespace gattling
