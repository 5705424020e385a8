// One block a row. Bound by bandwidth: embed reads 2 and writes 4 bytes an element, swiglu reads 4 and writes 2.
#include "cuda/kernels/elementwise.h"

#include "cuda/device.h"

namespace gattling::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T>
__global__ void __launch_bounds__(kThreads) embed_kernel(const T* table, int64_t table_stride, const int32_t* tokens,
                                                         float* residual, int64_t residual_stride, int n) {
  const T* from = table + tokens[blockIdx.x] * table_stride;
  float* to = residual + static_cast<int64_t>(blockIdx.x) * residual_stride;
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) to[i] = widen(from[i]);
}

// Columns of gate lie in runs of `run`, each followed by its run of up.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    swiglu_kernel(const T* gate_up, int64_t gate_up_stride, T* out, int64_t out_stride, int n, int run) {
  const T* gate = gate_up + static_cast<int64_t>(blockIdx.x) * gate_up_stride;
  T* to = out + static_cast<int64_t>(blockIdx.x) * out_stride;
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) {
    const int at = i / run * run + i;
    const float x = widen(gate[at]);
    to[i] = narrow<T>(x / (1.0f + expf(-x)) * widen(gate[at + run]));
  }
}

// Rows lie on multiples of 128 bytes and their padding is theirs, so that whole 16-byte pieces may be copied.
__global__ void __launch_bounds__(kThreads)
    gather_kernel(const uint4* x, int64_t x_stride, uint4* out, int64_t out_stride, const int32_t* rows, int n) {
  const uint4* from = x + rows[blockIdx.x] * x_stride;
  uint4* to = out + static_cast<int64_t>(blockIdx.x) * out_stride;
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) to[i] = from[i];
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    sum_rows_kernel(const T* x, int64_t x_stride, const RowSum* sums, float* out, int n) {
  const RowSum sum = sums[blockIdx.x];
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) {
    float total = widen(x[sum.first * x_stride + i]);
    for (int row = 1; row < sum.count; ++row) total += widen(x[(sum.first + row) * x_stride + i]);
    out[static_cast<int64_t>(blockIdx.x) * n + i] = total;
  }
}

Dim rows_of(int rows) {
  return Dim(static_cast<unsigned>(rows));
}

// fn(a null pointer to the type of the elements)
template <typename F>
void with_type(Half half, const F& fn) {
  if (half == Half::BF16)
    fn(static_cast<BF16*>(nullptr));
  else
    fn(static_cast<F16*>(nullptr));
}

template <typename T>
void run_embed(const EmbedArgs& a, Stream& stream, T*) {
  launch(embed_kernel<T>, rows_of(a.rows), Dim(kThreads), 0, stream, static_cast<const T*>(a.table), a.table_stride,
         a.tokens, a.residual, a.residual_stride, a.n);
}

template <typename T>
void run_swiglu(const SwigluArgs& a, Stream& stream, T*) {
  launch(swiglu_kernel<T>, rows_of(a.rows), Dim(kThreads), 0, stream, static_cast<const T*>(a.gate_up),
         a.gate_up_stride, static_cast<T*>(a.out), a.out_stride, a.n, a.interleaved ? 8 : a.n);
}

template <typename T>
void run_sum_rows(const SumRowsArgs& a, Stream& stream, T*) {
  launch(sum_rows_kernel<T>, rows_of(a.n_sums), Dim(kThreads), 0, stream, static_cast<const T*>(a.x), a.x_stride,
         a.sums, a.out, a.n);
}

}  // namespace

void embed(const EmbedArgs& args, Stream& stream) {
  with_type(args.half, [&](auto* type) { run_embed(args, stream, type); });
}

void swiglu(const SwigluArgs& args, Stream& stream) {
  with_type(args.half, [&](auto* type) { run_swiglu(args, stream, type); });
}

void gather(const GatherArgs& args, Stream& stream) {
  constexpr int kPiece = 8;  // elements of 16 bits in 16 bytes
  if (args.count == 0) return;
  launch(gather_kernel, rows_of(args.count), Dim(kThreads), 0, stream, static_cast<const uint4*>(args.x),
         args.x_stride / kPiece, static_cast<uint4*>(args.out), args.out_stride / kPiece, args.rows,
         (args.n + kPiece - 1) / kPiece);
}

void sum_rows(const SumRowsArgs& args, Stream& stream) {
  if (args.n_sums == 0) return;
  with_type(args.half, [&](auto* type) { run_sum_rows(args, stream, type); });
}

}  // namespace gattling::cuda
