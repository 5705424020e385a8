// The seam between a model and the hardware: how weights are packed, the ops of a transformer, and what a step returns.
//
// A step is begin(step), the ops, end(); collect(ticket) waits for its result. Everything between begin and collect may
// only be enqueued. Ops read the step's inputs (tokens, positions, slots, block tables) from fixed-capacity buffers
// that begin() updated, and take `rows`, an upper bound out of row_bucket(): rows past the step's own hold rubbish that
// no op lets through to another row. An op never reads host memory of the step, so that its launch can be captured and
// replayed.
//
// A row's result depends on its own sequence only: not on `rows`, on its index, nor on how a prompt was cut into steps.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backend/quantised.h"
#include "backend/step.h"
#include "backend/tensor.h"

namespace gattling {

// What a weight is for; parts are what pack() expects, each [out, in] as Hugging Face stores a linear layer.
enum class Use : uint8_t {
  Embedding,  // {table [V, H]}
  Norm,       // {scale [H]}
  Qkv,        // {q [Hq*D, H], k [Hkv*D, H], v [Hkv*D, H]} or these and their biases {.., bq, bk, bv}
  AttnOut,    // {o [H, Hq*D]} or {o, bias}
  GateUp,     // {gate [F, H], up [F, H]}
  Down,       // {down [H, F]}
  Head,       // {head [V, H]}
};

// One rank's part of a tensor-parallel group; world 1 is the whole.
struct Shard {
  int rank = 0;
  int world = 1;
};

// A packed weight: fused, tiled, quantised and sharded as its backend likes. It does not refer to the host tensors.
class Weight {
 public:
  virtual ~Weight() = default;
  virtual size_t bytes() const = 0;
};

// What an activation is for decides its type: Residual and Logits are fp32, the others are what the unit multiplies.
enum class Role : uint8_t { Residual, Activation, Logits };

// The device state behind a model: slots, block tables, the KV cache. Sizes are per rank.
struct StateShape {
  int n_slots;     // sequences at once
  int max_rows;    // tokens in a step at most
  int max_blocks;  // of one sequence
  int n_blocks;    // of the KV cache, all sequences together
  int block_size;  // tokens of a block, a multiple of 16
  int n_layers;
  int n_heads;
  int n_kv_heads;
  int head_dim;
  int vocab_size;
  int hidden_size;
  int sliding_window;  // a query at p sees keys in (p - window, p]; 0: all
  DType kv_dtype;
  std::vector<float> inv_freq;  // [head_dim / 2] radians per position, rope scaling included
};

struct EmbedParams {
  const Weight* table;
  Tensor out;  // Residual [rows, H]
  int rows;
};

// residual += delta (when there is one); out = residual / rms(residual) * scale
struct RmsNormParams {
  Tensor residual;      // Residual [rows, H]
  const Tensor* delta;  // Activation [rows, H], or null
  const Weight* scale;
  float eps;
  Tensor out;  // Activation [rows, H]
  int rows;
};

// out = x * weight^T (+ bias)
struct LinearParams {
  const Weight* weight;
  Tensor x;    // Activation [rows, in]
  Tensor out;  // Activation [rows, out], or Logits
  int rows;
};

// Rotates q in place and k on its way into the cache (RoPE, Su et al. 2021, in the half-split layout of Hugging Face),
// and appends k and v to the cache at each row's position.
struct RopeAppendParams {
  Tensor qkv;  // Activation [rows, (Hq + 2 Hkv) * D]
  int layer;
  int rows;
};

// Causal attention of each row over its sequence's cache, softmax(q k / sqrt(D)) v, KV heads shared by groups of query
// heads.
struct AttentionParams {
  Tensor qkv;  // q is read
  Tensor out;  // Activation [rows, Hq * D]
  int layer;
  int rows;
};

// out = silu(gate) * up
struct SwigluParams {
  Tensor gate_up;  // what linear made of a GateUp weight: [rows, 2 F], in the backend's own order
  Tensor out;      // Activation [rows, F]
  int rows;
};

// out[i] = x[row of output first + i]. Outputs are the rows that are scored or sampled, in row order.
struct GatherParams {
  Tensor x;
  Tensor out;
  int first;
  int count;
};

// Scores and samples outputs [first, first + count) from their logits, into the step's result.
struct SampleParams {
  Tensor logits;  // Logits [count, V]
  int first;
  int count;
};

struct BackendInfo {
  std::string device;  // "cpu", "cuda"
  std::string unit;    // the arithmetic unit of the matmuls: "avx512", "avx2", "plain"
  int threads = 1;
  int depth = 0;               // 1: steps run asynchronously and are planned one ahead
  DType compute = DType::F32;  // the class of the arithmetic; that of the options unless the device lacks it
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const BackendInfo& info() const = 0;

  // Set-up. Throws Error on shapes that do not belong together.
  virtual std::unique_ptr<Weight> pack(Use use, std::span<const HostTensor> parts, Shard shard) = 0;
  virtual Tensor allocate(Role role, int64_t rows, int64_t cols) = 0;
  // Bytes that allocate() would take.
  virtual size_t tensor_bytes(Role role, int64_t rows, int64_t cols) const = 0;
  virtual void allocate_state(const StateShape& shape) = 0;
  // Bytes that allocate_state would take for one block of the cache.
  virtual size_t block_bytes(const StateShape& shape) const = 0;
  // Bytes that weights and cache may still take.
  virtual size_t free_memory() const = 0;
  // Bytes that a step takes besides what allocate() gives; widest: columns of the widest input of a matmul. The shape's
  // n_blocks is not known yet.
  virtual size_t work_bytes(const StateShape& shape, int widest) const = 0;
  // Bytes that the cache should take when nobody says, out of `free` that nothing else takes; empty: no opinion.
  virtual std::optional<uint64_t> cache_budget(uint64_t /*free*/) const { return std::nullopt; }

  // A step.
  virtual void begin(const Step& step) = 0;
  virtual int row_bucket(int rows) const { return rows; }
  // Enqueues ops through `enqueue`, or replays what it enqueued under the same key before.
  virtual void captured(uint64_t /*key*/, const std::function<void()>& enqueue) { enqueue(); }

  virtual void embed(const EmbedParams&) = 0;
  virtual void rmsnorm(const RmsNormParams&) = 0;
  virtual void linear(const LinearParams&) = 0;
  virtual void rope_append(const RopeAppendParams&) = 0;
  virtual void attention(const AttentionParams&) = 0;
  virtual void swiglu(const SwigluParams&) = 0;
  virtual void gather(const GatherParams&) = 0;
  // Bits [ceil(V / 32)] of the tokens allowed in this step's sample of a slot; between begin and sample.
  virtual void set_mask(int slot, std::span<const uint32_t> bits) = 0;
  virtual void sample(const SampleParams&) = 0;
  // Copies the hidden rows that slices want into the result.
  virtual void read_hidden(const Tensor& x) = 0;
  // Sum over the ranks of a tensor-parallel group, in place.
  virtual void all_reduce(const Tensor& x, int rows) = 0;

  virtual Ticket end() = 0;
  // Waits for a step; the result is valid until the collect after the next.
  virtual const StepResult& collect(Ticket ticket) = 0;
};

struct BackendOptions {
  int threads = 0;  // 0: the machine's physical cores
  // The class of the arithmetic: F32 computes in fp32 whatever the storage; BF16 and F16 store weights so (converted if
  // they are not) and may round activations to it where the unit multiplies that type.
  DType compute = DType::F32;
  std::string unit;  // forces an arithmetic unit, "" takes the best of the machine
  // Of a GPU: results do not depend on the batch, at the price of speed (a CPU's never do).
  bool deterministic = false;
  double gpu_memory_utilization = 0.9;             // the share of a GPU's memory that may be taken in all
  Quantization quantization = Quantization::None;  // of dense weights
};

}  // namespace gattling
