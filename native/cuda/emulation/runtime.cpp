// The emulated device: its memory is the host's, filled with rubbish at first, and a stream runs its work at once.
#include "cuda/runtime.h"

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

#include "backend/error.h"

namespace gattling::cuda {
namespace {

constexpr int kRubbish = 0xff;
constexpr size_t kMemory = size_t{8} << 30;

std::mutex& mutex() {
  static std::mutex mutex;
  return mutex;
}

size_t& used() {
  static size_t bytes = 0;
  return bytes;
}

void* take(size_t bytes) {
  const std::lock_guard lock(mutex());
  check(used() + bytes <= kMemory, "The device has ", kMemory - used(), " bytes left, not ", bytes, ".");
  void* data = nullptr;  // of just this size, so that ASan sees what reaches past it
  if (posix_memalign(&data, 256, bytes) != 0) throw std::bad_alloc();
  used() += bytes;
  std::memset(data, kRubbish, bytes);
  return data;
}

}  // namespace

void check_call(int, const char*) {}

DeviceInfo open_device() {
  return {"emulated device", 80, 4, kMemory, true};
}

void use_device() {}

size_t free_device_memory() {
  const std::lock_guard lock(mutex());
  return kMemory - used();
}

void synchronize_device() {}

Buffer::Buffer(size_t bytes) : data_(bytes > 0 ? take(bytes) : nullptr), bytes_(bytes) {}

Buffer::~Buffer() {
  if (data_ == nullptr) return;
  const std::lock_guard lock(mutex());
  used() -= bytes_;
  std::free(data_);
}

HostBuffer::HostBuffer(size_t bytes) : data_(::operator new(bytes)), bytes_(bytes) {}

HostBuffer::~HostBuffer() {
  ::operator delete(data_);
}

class Graph::Recording {
 public:
  std::vector<std::function<void()>> work;
};

Graph::Graph(std::unique_ptr<Recording> recording) : recording_(std::move(recording)) {}
Graph::~Graph() = default;
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;

// handle_ is the recording while the stream captures.
Stream::Stream() = default;
Stream::~Stream() = default;

void Stream::enqueue(const std::function<void()>& run) {
  if (handle_ != nullptr)
    static_cast<Graph::Recording*>(handle_)->work.push_back(run);
  else
    run();
}

void Stream::copy_to_device(void* to, const void* from, size_t bytes) {
  enqueue([=] { std::memcpy(to, from, bytes); });
}

void Stream::copy_to_host(void* to, const void* from, size_t bytes) {
  enqueue([=] { std::memcpy(to, from, bytes); });
}

void Stream::fill(void* to, int byte, size_t bytes) {
  enqueue([=] { std::memset(to, byte, bytes); });
}

void Stream::synchronize() {}

void Stream::settle() noexcept {}

Graph Stream::capture(const std::function<void()>& record) {
  auto recording = std::make_unique<Graph::Recording>();
  handle_ = recording.get();
  try {
    record();
  } catch (...) {
    handle_ = nullptr;
    throw;
  }
  handle_ = nullptr;
  return Graph(std::move(recording));
}

void Stream::launch(Graph& graph) {
  for (const auto& run : graph.recording_->work) run();
}

Event::Event() = default;
Event::~Event() = default;
void Event::record(Stream&) {}
void Event::wait() {}

}  // namespace gattling::cuda
