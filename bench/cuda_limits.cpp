// What the device can do: the rate of its best copy, and of the best matmul of NVIDIA's library (or ours without it).
#include <algorithm>
#include <cstdio>

#include "cuda/cublaslt.h"
#include "cuda_bench.h"
#include "cuda_fill.h"
#include "cuda_matmul.h"

namespace bench {
namespace {

using namespace gattling::cuda;

void measure_copy(Bench& bench) {
  // 4 GiB and more that are read or written; a device that has less room takes what it has.
  const size_t wanted = bench.tiny ? size_t{1} << 16 : size_t{4} << 30;
  const size_t bytes = std::min(wanted, free_device_memory() / 3) / 4096 * 4096;
  const Buffer from = bench.random_halves(bytes / 2, 1), to(bytes);
  bench.copy_bytes = 2 * bytes;
  const auto attempt = [&](const char* name, const std::function<void(int)>& fn) {
    const double rate = 2.0 * static_cast<double>(bytes) / bench.time(1, fn);
    std::printf("copy by %-10s %8.2f TB/s\n", name, rate / 1e12);
    if (rate <= bench.copy_rate) return;
    bench.copy_rate = rate;
    bench.copied_by = name;
  };
  attempt("the driver", [&](int) { copy_by_driver(to.as<void>(), from.as<void>(), bytes, bench.stream); });
  attempt("a kernel",
          [&](int) { copy(to.as<void>(), from.as<void>(), bytes, bench.device.n_processors, bench.stream); });
  bench.require_finite(to, 1024, "the copy");
}

void measure_matmul(Bench& bench) {
  const int n = bench.tiny ? 64 : 8192;
  MatmulBuffers buffers(bench, n, n, n);
  bench.matmul_shape = std::to_string(n) + " x " + std::to_string(n) + " x " + std::to_string(n) + " bf16";
  const auto attempt = [&](const std::string& name, const std::function<void(int)>& fn) {
    const double rate = buffers.operations() / bench.time(buffers.n_sets(), fn);
    std::printf("matmul %s by %s %8.1f TFLOP/s\n", bench.matmul_shape.c_str(), name.c_str(), rate / 1e12);
    if (rate <= bench.matmul_rate) return;
    bench.matmul_rate = rate;
    bench.multiplied_by = name;
  };
  const auto ours = [&](int set) { buffers.enqueue(set); };
  const std::unique_ptr<CublasLt> library = bench.facts.emulated ? nullptr : CublasLt::find();
  if (library == nullptr) {
    bench.notes.push_back(
        "cuBLASLt was not found (in CUBLAS_ROOT, the loader's path, the toolkit and pip's folders): our own matmul "
        "stands in for the library's.");
    std::printf("%s\n", bench.notes.back().c_str());
    attempt("Gattling", ours);
  } else {
    const auto matmul = library->prepare({n, n, n, n, n, n, Half::BF16, false}, 8);
    for (int way = 0; way < matmul->n_ways(); ++way)
      attempt(library->name(),
              [&](int set) { matmul->run(way, buffers.out(set), buffers.x(set), buffers.weight(set), bench.stream); });
  }
  buffers.require_finite();
  if (library != nullptr)
    bench.add(
        {"linear", bench.matmul_shape, bench.time(buffers.n_sets(), ours), buffers.operations(), Bound::Matmul, 0});
}

}  // namespace

void measure_limits(Bench& bench) {
  measure_copy(bench);
  measure_matmul(bench);
}

}  // namespace bench
