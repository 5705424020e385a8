// Linear layers: those of decode against the copy's rate, those of prefill against the library's.
#include <string>

#include "cuda/kernels/rmsnorm.h"
#include "cuda_matmul.h"

namespace bench {

using namespace gattling::cuda;

namespace {

// Columns padded as the engine pads them.
size_t stride_of(int n) {
  return static_cast<size_t>(n + 63) / 64 * 64;
}

std::string shape_of(int rows, int n, int k) {
  return std::to_string(rows) + " rows, " + std::to_string(k) + " to " + std::to_string(n) + " bf16";
}

}  // namespace

MatmulBuffers::MatmulBuffers(Bench& bench, int rows, int n, int k)
    : bench_(&bench), rows_(rows), n_(n), k_(k), workspace_(bench.zeros(kLinearWorkspace)) {
  const size_t m = static_cast<size_t>(rows);
  const int n_sets = bench.n_sets((stride_of(k) * (m + static_cast<size_t>(n)) + stride_of(n) * m) * 2);
  for (int i = 0; i < n_sets; ++i) {
    xs_.push_back(bench.random_halves(m * stride_of(k), 1));
    weights_.push_back(bench.random_halves(static_cast<size_t>(n) * stride_of(k), 0.02f));
    outs_.push_back(bench.zeros(m * stride_of(n) * 2));
  }
}

void MatmulBuffers::enqueue(int set) {
  LinearArgs args{};
  args.x = x(set);
  args.weight = weight(set);
  args.out = out(set);
  args.half = Half::BF16;
  args.rows = rows_;
  args.n = n_;
  args.k_stride = static_cast<int>(stride_of(k_));
  args.out_stride = static_cast<int>(stride_of(n_));
  args.workspace = workspace_.as<float>();
  args.workspace_bytes = workspace_.bytes();
  linear(args, bench_->stream);
}

void MatmulBuffers::require_finite() {
  bench_->require_finite(outs_[0], static_cast<size_t>(n_), "linear");
}

void bench_rmsnorm(Bench& bench) {
  const int n = bench.tiny ? 192 : 4096;
  for (const int rows : bench.tiny ? std::vector<int>{3} : std::vector<int>{1, 64, 2048}) {
    const size_t size = static_cast<size_t>(rows) * stride_of(n), bytes = size * (4 + 4 + 2 + 2);
    const Buffer scale = bench.random_floats(static_cast<size_t>(n), 1);
    std::vector<Buffer> residuals, deltas, outs;
    for (int i = 0; i < bench.n_sets(size * (4 + 2 + 2)); ++i) {
      residuals.push_back(bench.random_floats(size, 1));
      deltas.push_back(bench.random_halves(size, 1e-3f));  // small: it is added again and again
      outs.push_back(bench.zeros(size * 2));
    }
    const double time = bench.time(static_cast<int>(outs.size()), [&](int set) {
      const size_t i = static_cast<size_t>(set);
      rmsnorm({residuals[i].as<float>(), deltas[i].as<void>(), scale.as<float>(), outs[i].as<void>(), Half::BF16, rows,
               n, static_cast<int>(stride_of(n)), 1e-5f},
              bench.stream);
    });
    bench.require_finite(outs[0], static_cast<size_t>(n), "rmsnorm");
    bench.add({"rmsnorm", std::to_string(rows) + " rows of " + std::to_string(n), time, static_cast<double>(bytes),
               Bound::Copy, 0});
  }
}

void bench_linear(Bench& bench) {
  struct Shape {
    int n, k;
  };
  const std::vector<Shape> shapes =
      bench.tiny ? std::vector<Shape>{{112, 192}} : std::vector<Shape>{{11008, 4096}, {4096, 11008}, {4096, 4096}};
  for (const Shape& shape : shapes)
    for (const int rows : bench.tiny ? std::vector<int>{1, 9} : std::vector<int>{1, 2, 4, 8, 16, 32, 64}) {
      MatmulBuffers buffers(bench, rows, shape.n, shape.k);
      const double time = bench.time(buffers.n_sets(), [&](int set) { buffers.enqueue(set); });
      buffers.require_finite();
      const bool aimed_at = rows <= 32 && shape.n != shape.k;
      bench.add(
          {"linear", shape_of(rows, shape.n, shape.k), time, buffers.weight_bytes(), Bound::Copy, aimed_at ? 0.85 : 0});
    }
}

// Integers in groups of 32 with fp16 scales, which are read as well.
void bench_linear_ints(Bench& bench) {
  const int n = bench.tiny ? 112 : 11008, k = bench.tiny ? 192 : 4096;
  const size_t weights = static_cast<size_t>(n) * static_cast<size_t>(k), groups = weights / 32;
  for (const int bits : {8, 4})
    for (const int rows : bench.tiny ? std::vector<int>{1, 9} : std::vector<int>{1, 2, 4, 8, 16, 32}) {
      const size_t m = static_cast<size_t>(rows), bytes = weights * static_cast<size_t>(bits) / 8 + groups * 2;
      const Buffer workspace = bench.zeros(kLinearWorkspace);
      std::vector<Buffer> xs, integers, scales, outs;
      for (int i = 0; i < bench.n_sets(bytes + (stride_of(k) + stride_of(n)) * m * 2); ++i) {
        xs.push_back(bench.random_halves(m * stride_of(k), 1));
        integers.push_back(bench.random_halves(weights * static_cast<size_t>(bits) / 16, 1));
        scales.push_back(bench.random_halves(groups, 0.02f));
        outs.push_back(bench.zeros(m * stride_of(n) * 2));
      }
      const double time = bench.time(static_cast<int>(outs.size()), [&](int set) {
        const size_t i = static_cast<size_t>(set);
        LinearArgs args{};
        args.x = xs[i].as<void>();
        args.ints = {integers[i].as<void>(), scales[i].as<void>(), nullptr, bits, 5};
        args.out = outs[i].as<void>();
        args.half = Half::BF16;
        args.rows = rows;
        args.n = n;
        args.k_stride = k;
        args.out_stride = static_cast<int>(stride_of(n));
        args.workspace = workspace.as<float>();
        args.workspace_bytes = workspace.bytes();
        linear(args, bench.stream);
      });
      bench.require_finite(outs[0], static_cast<size_t>(n), "linear of integers");
      const std::string shape = std::to_string(rows) + " rows, " + std::to_string(k) + " to " + std::to_string(n) +
                                " int" + std::to_string(bits);
      bench.add({"linear of integers", shape, time, static_cast<double>(bytes), Bound::Copy,
                 rows > 16   ? 0
                 : bits == 8 ? 0.8
                             : 0.7});
    }
}

// The four linear layers of an 8B model, over a chunk of a prompt.
void bench_prefill_linear(Bench& bench) {
  struct Shape {
    int rows, n, k;
  };
  const std::vector<Shape> shapes =
      bench.tiny
          ? std::vector<Shape>{{70, 80, 128}}
          : std::vector<Shape>{
                {2048, 6144, 4096}, {2048, 4096, 4096}, {2048, 28672, 4096}, {2048, 4096, 14336}, {256, 28672, 4096}};
  for (const Shape& shape : shapes) {
    MatmulBuffers buffers(bench, shape.rows, shape.n, shape.k);
    const double time = bench.time(buffers.n_sets(), [&](int set) { buffers.enqueue(set); });
    buffers.require_finite();
    bench.add({"prefill linear", shape_of(shape.rows, shape.n, shape.k), time, buffers.operations(), Bound::Matmul,
               shape.rows == 2048 ? 0.6 : 0});
  }
}

}  // namespace bench
