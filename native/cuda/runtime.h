// The little that the backend needs of a GPU's runtime: memory, one stream, events, graphs. runtime_cuda.cpp is CUDA's,
// emulation/runtime.cpp runs everything at once on the host. Every object frees what it holds; every failure is an
// Error that names the call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace gattling::cuda {

// Throws Error unless status is 0 (cudaSuccess).
void check_call(int status, const char* what);

struct DeviceInfo {
  std::string name;
  int capability = 0;  // 80, 90: major * 10 + minor
  int n_processors = 0;
  size_t total_memory = 0;
  bool emulated = false;  // on the host: NVIDIA's libraries would not know its memory
};

// Makes device 0 current for the calling thread. Throws Error with what is missing: the driver, a device, its compute
// capability.
DeviceInfo open_device();
void use_device();  // on every thread that makes calls, after open_device
size_t free_device_memory();
void synchronize_device();  // until every stream is idle

// Memory of the device; it is rubbish at first.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t bytes);
  ~Buffer();
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  size_t bytes() const { return bytes_; }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// Page-locked host memory, which copies overlap with.
class HostBuffer {
 public:
  HostBuffer() = default;
  explicit HostBuffer(size_t bytes);
  ~HostBuffer();
  HostBuffer(HostBuffer&& other) noexcept { *this = std::move(other); }
  HostBuffer& operator=(HostBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  size_t bytes() const { return bytes_; }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// What was captured on a stream, to be launched as one.
class Graph {
 public:
  class Recording;
  explicit Graph(std::unique_ptr<Recording> recording);
  ~Graph();
  Graph(Graph&&) noexcept;
  Graph& operator=(Graph&&) noexcept;

 private:
  friend class Stream;
  std::unique_ptr<Recording> recording_;
};

// A queue of work in order.
class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void copy_to_device(void* to, const void* from, size_t bytes);
  void copy_to_host(void* to, const void* from, size_t bytes);
  void fill(void* to, int byte, size_t bytes);
  void synchronize();

  // Waits as well, whatever has become of the work.
  void settle() noexcept;

  // What `record` adds is recorded and not run; when it throws, the stream is as it was.
  Graph capture(const std::function<void()>& record);
  void launch(Graph& graph);

  void* handle() const { return handle_; }  // cudaStream_t
  // Work that puts itself on handle(); the emulation runs it when the stream's turn comes.
  void enqueue(const std::function<void()>& run);

 private:
  void* handle_ = nullptr;
};

// A point in a stream that the host can wait for.
class Event {
 public:
  Event();
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(Stream& stream);
  void wait();  // sleeps, so that the thread does not spin

 private:
  void* handle_ = nullptr;
};

}  // namespace gattling::cuda
