#include "cuda/runtime.h"

#include <cuda_runtime.h>

#include "backend/error.h"

namespace gattling::cuda {

void check_call(int status, const char* what) {
  if (status == cudaSuccess) return;
  const auto error = static_cast<cudaError_t>(status);
  cudaGetLastError();  // of an error that can be recovered from nothing stays behind
  fail(what, " failed: ", cudaGetErrorString(error), " (", cudaGetErrorName(error), ").");
}

DeviceInfo open_device() {
  int n_devices = 0, driver = 0;
  const cudaError_t status = cudaGetDeviceCount(&n_devices);
  cudaDriverGetVersion(&driver);
  const int built = CUDART_VERSION;
  const auto version = [](int number) { return concat(number / 1000, ".", number % 1000 / 10); };
  check(driver != 0,
        "Device cuda needs NVIDIA's driver, and there is none on this machine; install it, or use --device cpu.");
  check(status != cudaErrorInsufficientDriver, "Device cuda needs a driver for CUDA ", version(built),
        "; the one installed is for CUDA ", version(driver), ".");
  check(status == cudaSuccess && n_devices > 0, "Device cuda needs an NVIDIA GPU, and the driver sees none (",
        cudaGetErrorString(status), "); look at nvidia-smi and CUDA_VISIBLE_DEVICES, or use --device cpu.");
  cudaDeviceProp properties{};
  check_call(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  const int capability = properties.major * 10 + properties.minor;
  check(capability >= 80, "The GPU ", properties.name, " has compute capability ", properties.major, ".",
        properties.minor, "; device cuda needs 8.0 or later (Ampere and newer).");
  use_device();
  return {properties.name, capability, properties.multiProcessorCount, properties.totalGlobalMem};
}

void use_device() {
  check_call(cudaSetDevice(0), "cudaSetDevice");
}

size_t free_device_memory() {
  size_t free = 0, total = 0;
  check_call(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return free;
}

void synchronize_device() {
  check_call(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
}

Buffer::Buffer(size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  const cudaError_t status = cudaMalloc(&data_, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    fail("The GPU has no ", bytes >> 20, " MiB left (", free_device_memory() >> 20,
         " MiB are free); lower --gpu-memory-utilization or --kv-cache-memory, or free it from other programs.");
  }
  check_call(status, "cudaMalloc");
}

// Nothing to be done about errors at the end; after cudaErrorCudartUnloading there is no device any more.
Buffer::~Buffer() {
  cudaFree(data_);
}

HostBuffer::HostBuffer(size_t bytes) : bytes_(bytes) {
  check_call(cudaMallocHost(&data_, bytes), "cudaMallocHost");
}

HostBuffer::~HostBuffer() {
  cudaFreeHost(data_);
}

class Graph::Recording {
 public:
  cudaGraphExec_t exec = nullptr;
  ~Recording() { cudaGraphExecDestroy(exec); }
};

Graph::Graph(std::unique_ptr<Recording> recording) : recording_(std::move(recording)) {}
Graph::~Graph() = default;
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;

namespace {

cudaStream_t stream_of(void* handle) {
  return static_cast<cudaStream_t>(handle);
}

}  // namespace

Stream::Stream() {
  cudaStream_t stream = nullptr;
  check_call(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  handle_ = stream;
}

Stream::~Stream() {
  cudaStreamDestroy(stream_of(handle_));
}

void Stream::enqueue(const std::function<void()>& run) {
  run();
}

void Stream::copy_to_device(void* to, const void* from, size_t bytes) {
  check_call(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_of(handle_)), "a copy to the GPU");
}

void Stream::copy_to_host(void* to, const void* from, size_t bytes) {
  check_call(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_of(handle_)), "a copy from the GPU");
}

void Stream::fill(void* to, int byte, size_t bytes) {
  check_call(cudaMemsetAsync(to, byte, bytes, stream_of(handle_)), "cudaMemset");
}

void Stream::synchronize() {
  check_call(cudaStreamSynchronize(stream_of(handle_)), "cudaStreamSynchronize");
}

void Stream::settle() noexcept {
  cudaStreamSynchronize(stream_of(handle_));
}

Graph Stream::capture(const std::function<void()>& record) {
  check_call(cudaStreamBeginCapture(stream_of(handle_), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  cudaGraph_t graph = nullptr;
  try {
    record();
  } catch (...) {
    cudaStreamEndCapture(stream_of(handle_), &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    cudaGetLastError();  // that the capture failed is known
    throw;
  }
  check_call(cudaStreamEndCapture(stream_of(handle_), &graph), "cudaStreamEndCapture");
  auto recording = std::make_unique<Graph::Recording>();
  const cudaError_t status = cudaGraphInstantiate(&recording->exec, graph, 0);
  cudaGraphDestroy(graph);
  check_call(status, "cudaGraphInstantiate");
  return Graph(std::move(recording));
}

void Stream::launch(Graph& graph) {
  check_call(cudaGraphLaunch(graph.recording_->exec, stream_of(handle_)), "cudaGraphLaunch");
}

Event::Event() {
  cudaEvent_t event = nullptr;
  check_call(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync), "cudaEventCreate");
  handle_ = event;
}

Event::~Event() {
  cudaEventDestroy(static_cast<cudaEvent_t>(handle_));
}

void Event::record(Stream& stream) {
  check_call(cudaEventRecord(static_cast<cudaEvent_t>(handle_), stream_of(stream.handle())), "cudaEventRecord");
}

void Event::wait() {
  check_call(cudaEventSynchronize(static_cast<cudaEvent_t>(handle_)), "cudaEventSynchronize");
}

}  // namespace gattling::cuda
