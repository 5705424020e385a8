// Attention over a paged cache, of decode against the copy's rate, of prefill against the library matmul's.
#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <string>

#include "cuda/attention_plan.h"
#include "cuda_bench.h"

namespace bench {
namespace {

using namespace gattling::cuda;

struct Heads {
  int n_heads, n_kv_heads, head_dim;
};

struct Batch {
  int n_sequences;
  int context;  // tokens of each, with those of the step
  int rows;     // of each in this step
};

constexpr int kBlockSize = 64;

// A layer's attention as the engine runs it: block tables in random order, a work list on the device.
class Attention {
 public:
  Attention(Bench& bench, Heads heads, Batch batch);

  // Both of a token, and of all that is read.
  double kv_bytes() const { return 4.0 * heads_.n_kv_heads * heads_.head_dim * batch_.n_sequences * batch_.context; }
  // Causal, from an empty history: half of what full attention would take.
  double operations() const {
    return 2.0 * batch_.n_sequences * batch_.rows * batch_.rows * heads_.head_dim * heads_.n_heads;
  }
  static size_t bytes_of_set(Heads heads, Batch batch) {
    const size_t rows = static_cast<size_t>(batch.n_sequences) * static_cast<size_t>(batch.rows);
    return static_cast<size_t>(n_blocks(batch)) * block_elements(heads) * 2 +
           rows * static_cast<size_t>(2 * heads.n_heads + 2 * heads.n_kv_heads) * static_cast<size_t>(heads.head_dim) *
               2;
  }
  double time();

 private:
  static int blocks_of_sequence(Batch batch) { return (batch.context + kBlockSize - 1) / kBlockSize; }
  static int n_blocks(Batch batch) { return batch.n_sequences * blocks_of_sequence(batch); }
  static size_t block_elements(Heads heads) {
    return static_cast<size_t>(2 * heads.n_kv_heads * kBlockSize * heads.head_dim);
  }
  gattling::StateShape shape() const;
  void make_tables();
  void make_work();

  Bench& bench_;
  const Heads heads_;
  const Batch batch_;
  std::unique_ptr<AttentionPlan> plan_;
  AttentionPlan::Made made_{};
  Buffer tables_, work_, space_;
  std::vector<Buffer> caches_, qkvs_, outs_;
};

Attention::Attention(Bench& bench, Heads heads, Batch batch) : bench_(bench), heads_(heads), batch_(batch) {
  plan_ = std::make_unique<AttentionPlan>(shape(), bench.device, false);
  make_tables();
  make_work();
  const size_t rows = static_cast<size_t>(batch.n_sequences * batch.rows);
  const size_t columns = static_cast<size_t>(heads.n_heads * heads.head_dim);
  const size_t kv_columns = static_cast<size_t>(heads.n_kv_heads * heads.head_dim);
  for (int i = 0; i < bench.n_sets(bytes_of_set(heads, batch)); ++i) {
    caches_.push_back(bench.random_halves(static_cast<size_t>(n_blocks(batch)) * block_elements(heads), 1));
    qkvs_.push_back(bench.random_halves(rows * (columns + 2 * kv_columns), 1));
    outs_.push_back(bench.zeros(rows * columns * 2));
  }
}

gattling::StateShape Attention::shape() const {
  gattling::StateShape shape{};
  shape.n_slots = batch_.n_sequences;
  shape.max_rows = batch_.n_sequences * batch_.rows;
  shape.max_blocks = blocks_of_sequence(batch_);
  shape.n_blocks = n_blocks(batch_);
  shape.block_size = kBlockSize;
  shape.n_layers = 1;
  shape.n_heads = heads_.n_heads;
  shape.n_kv_heads = heads_.n_kv_heads;
  shape.head_dim = heads_.head_dim;
  shape.kv_dtype = gattling::DType::BF16;
  return shape;
}

void Attention::make_tables() {
  std::vector<int32_t> blocks(static_cast<size_t>(n_blocks(batch_)));
  std::iota(blocks.begin(), blocks.end(), 0);
  std::shuffle(blocks.begin(), blocks.end(), std::mt19937(1));
  tables_ = Buffer(blocks.size() * sizeof(int32_t));
  bench_.stream.copy_to_device(tables_.as<void>(), blocks.data(), tables_.bytes());
  bench_.stream.synchronize();
}

void Attention::make_work() {
  std::vector<gattling::Slice> slices;
  for (int i = 0; i < batch_.n_sequences; ++i) {
    gattling::Slice slice{};
    slice.slot = i;
    slice.start = batch_.context - batch_.rows;
    slice.count = batch_.rows;
    slices.push_back(slice);
  }
  std::vector<std::byte> work(plan_->work_bytes() + 16);
  void* list = work.data();
  size_t room = work.size();
  std::align(16, plan_->work_bytes(), list, room);
  made_ = plan_->make(slices, list);
  work_ = Buffer(plan_->work_bytes());
  bench_.stream.copy_to_device(work_.as<void>(), list, made_.bytes);
  bench_.stream.synchronize();
  space_ = bench_.zeros(plan_->space_bytes());
}

double Attention::time() {
  const int64_t columns = heads_.n_heads * heads_.head_dim, kv_columns = heads_.n_kv_heads * heads_.head_dim;
  const double seconds = bench_.time(static_cast<int>(outs_.size()), [&](int set) {
    const size_t i = static_cast<size_t>(set);
    AttentionArgs args{};
    args.qkv = qkvs_[i].as<void>();
    args.qkv_stride = columns + 2 * kv_columns;
    args.out = outs_[i].as<void>();
    args.out_stride = columns;
    args.half = Half::BF16;
    args.cache = {
        caches_[i].as<void>(),     Half::BF16, heads_.n_kv_heads, kBlockSize, heads_.head_dim, tables_.as<int32_t>(),
        blocks_of_sequence(batch_)};
    args.n_heads = heads_.n_heads;
    args.work = work_.as<AttentionWork>();
    if (made_.decode) {
      args.space = plan_->space(AttentionTile::Decode, space_.as<void>());
      attention_decode(args, bench_.stream);
    }
    if (made_.prefill) {
      args.space = plan_->space(AttentionTile::Prefill, space_.as<void>());
      attention_prefill(args, bench_.stream);
    }
  });
  bench_.require_finite(outs_[0], static_cast<size_t>(columns), "attention");
  return seconds;
}

std::string shape_of(Heads heads, Batch batch) {
  const std::string of = std::to_string(heads.n_heads) + "/" + std::to_string(heads.n_kv_heads) + " heads of " +
                         std::to_string(heads.head_dim);
  if (batch.rows > 1) return of + ", " + std::to_string(batch.rows) + " tokens";
  return of + ", batch " + std::to_string(batch.n_sequences) + ", context " + std::to_string(batch.context);
}

bool fits(Bench& bench, Heads heads, Batch batch) {
  const size_t bytes = Attention::bytes_of_set(heads, batch);
  return bench.has_room(bytes * static_cast<size_t>(bench.n_sets(bytes)), "attention of " + shape_of(heads, batch));
}

}  // namespace

void bench_decode_attention(Bench& bench) {
  const Heads heads = bench.tiny ? Heads{4, 2, 64} : Heads{32, 8, 128};
  struct Case {
    Batch batch;
    double target;
  };
  const std::vector<Case> cases =
      bench.tiny ? std::vector<Case>{{{2, 130, 1}, 0.8}}
                 : std::vector<Case>{{{32, 4096, 1}, 0.8}, {{1, 4096, 1}, 0}, {{32, 512, 1}, 0}, {{256, 256, 1}, 0}};
  for (const Case& c : cases) {
    if (!fits(bench, heads, c.batch)) continue;
    Attention attention(bench, heads, c.batch);
    bench.add(
        {"decode attention", shape_of(heads, c.batch), attention.time(), attention.kv_bytes(), Bound::Copy, c.target});
  }
}

void bench_prefill_attention(Bench& bench) {
  const Heads heads = bench.tiny ? Heads{4, 2, 64} : Heads{32, 8, 128};
  for (const int n : bench.tiny ? std::vector<int>{70} : std::vector<int>{8192, 2048}) {
    const Batch batch = {1, n, n};
    if (!fits(bench, heads, batch)) continue;
    Attention attention(bench, heads, batch);
    const double target = n == 8192 && bench.device.capability >= 90 ? 0.45 : 0;
    bench.add(
        {"flash prefill", shape_of(heads, batch), attention.time(), attention.operations(), Bound::Matmul, target});
  }
}

// The same queries over ever more KV heads (GQA, Ainslie et al. 2023): time has to grow with the bytes of the cache.
void bench_kv_heads(Bench& bench) {
  const Batch batch = bench.tiny ? Batch{2, 70, 1} : Batch{32, 4096, 1};
  const int n_heads = bench.tiny ? 4 : 64, head_dim = bench.tiny ? 64 : 128;
  double few_time = 0, few_bytes = 0;
  for (int n_kv_heads = 1; n_kv_heads <= n_heads; n_kv_heads *= 2) {
    const Heads heads = {n_heads, n_kv_heads, head_dim};
    if (!fits(bench, heads, batch)) return;
    Attention attention(bench, heads, batch);
    const double time = attention.time(), bytes = attention.kv_bytes();
    bench.add({"kv heads", shape_of(heads, batch), time, bytes, Bound::Copy, 0});
    if (n_kv_heads == 1) bench.gqa.one_to_floor = time * bench.copy_rate / bytes;
    if (n_kv_heads == n_heads / 8 || (n_kv_heads == 1 && n_heads < 8)) {
      few_time = time;
      few_bytes = bytes;
    }
    if (n_kv_heads == n_heads) bench.gqa.slope_rate = (bytes - few_bytes) / (time - few_time);
  }
  std::printf("kv heads: %.2f TB/s from %d to %d (%.1f %% of the copy; target 85 %%); one takes %.2f of its floor\n",
              bench.gqa.slope_rate / 1e12, std::max(1, n_heads / 8), n_heads,
              100 * bench.gqa.slope_rate / bench.copy_rate, bench.gqa.one_to_floor);
}

}  // namespace bench
