// Rotary positions, the paged cache and attention of each backend against the reference, and bit for bit against
// themselves: a row's result is its own, whatever else is in the step.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "ops_cases.h"
#include "test.h"

using namespace gattling;
using namespace ops;

namespace {

constexpr int kLength = 70;  // positions of a sequence
constexpr int kSequences = 3;

struct Heads {
  int n_heads;
  int n_kv_heads;
  int head_dim;
  int block_size = 16;
  int window = 0;
  DType kv_dtype = DType::F32;
  bool rotate = true;  // else angles are 0, and keys are what a 16-bit cache holds exactly

  int64_t columns() const { return int64_t{n_heads + 2 * n_kv_heads} * head_dim; }
  std::string name() const {
    return std::to_string(n_heads) + "/" + std::to_string(n_kv_heads) + " heads of " + std::to_string(head_dim) +
           ", blocks of " + std::to_string(block_size) + ", window " + std::to_string(window) + ", " +
           name_of(kv_dtype);
  }
};

struct Part {
  int sequence;
  int start;
  int count;
};

StateShape state_of(const Heads& heads) {
  StateShape shape{};
  shape.n_slots = kSequences;
  shape.max_rows = kSequences * kLength;
  shape.max_blocks = (kLength + heads.block_size - 1) / heads.block_size;
  shape.n_blocks = kSequences * shape.max_blocks;
  shape.block_size = heads.block_size;
  shape.n_layers = 2;
  shape.n_heads = heads.n_heads;
  shape.n_kv_heads = heads.n_kv_heads;
  shape.head_dim = heads.head_dim;
  shape.vocab_size = 4;
  shape.hidden_size = 8;
  shape.sliding_window = heads.window;
  shape.kv_dtype = heads.kv_dtype;
  for (int i = 0; i < heads.head_dim / 2; ++i)
    shape.inv_freq.push_back(heads.rotate ? static_cast<float>(std::pow(10000.0, -2.0 * i / heads.head_dim)) : 0.0f);
  return shape;
}

// The projections of a sequence, [kLength, columns].
std::vector<float> projections(const Heads& heads, int sequence) {
  Random random(static_cast<uint64_t>(sequence) + 1);
  std::vector<float> values = random.floats(static_cast<size_t>(kLength * heads.columns()));
  if (!heads.rotate)
    for (float& value : values) value = std::round(value * 64) / 64;
  return values;
}

// A backend with three sequences whose blocks lie scattered.
class Run {
 public:
  Run(const BackendCase& backend, const Heads& heads, int threads)
      : case_(backend), heads_(heads), shape_(state_of(heads)), backend_(backend.make(DType::F32, threads)) {
    qkv_ = backend_->allocate(Role::Activation, shape_.max_rows, heads.columns());
    out_ = backend_->allocate(Role::Activation, shape_.max_rows, int64_t{heads.n_heads} * heads.head_dim);
    backend_->allocate_state(shape_);
    for (int sequence = 0; sequence < kSequences; ++sequence) {
      projections_.push_back(backend.exact(projections(heads, sequence)));
      outputs_.push_back(std::vector<float>(static_cast<size_t>(kLength * out_.cols)));
    }
    map_blocks(0);
  }

  // Block i of a sequence is at another place for each `turn`.
  void map_blocks(int turn) {
    Step step;
    const Sampling sampling;
    for (int sequence = 0; sequence < kSequences; ++sequence) {
      step.inits.push_back({sequence, &sampling, {}, 0});
      for (int i = 0; i < shape_.max_blocks; ++i)
        step.blocks.push_back({sequence, i, (i * kSequences + sequence + turn * 5) * 7 % shape_.n_blocks});
    }
    // 7 and the number of blocks share no factor, so that no two blocks meet.
    CHECK(shape_.n_blocks % 7 != 0);
    backend_->begin(step);
    backend_->collect(backend_->end());
  }

  void spoil(float value) {
    for (std::vector<float>& values : projections_) std::fill(values.begin(), values.end(), value);
  }
  void restore() {
    for (int sequence = 0; sequence < kSequences; ++sequence)
      projections_[static_cast<size_t>(sequence)] = case_.exact(projections(heads_, sequence));
  }

  void step(const std::vector<Part>& parts, int layer = 1) {
    Step step;
    std::vector<float> rows;
    for (const Part& part : parts) {
      step.slices.push_back({part.sequence, part.start, part.count, false, false, -1, 0, 0, Rows::None});
      step.tokens.resize(step.tokens.size() + static_cast<size_t>(part.count), 1);
      const auto from = projections_[static_cast<size_t>(part.sequence)].begin() + part.start * heads_.columns();
      rows.insert(rows.end(), from, from + part.count * heads_.columns());
    }
    case_.write(qkv_, rows);
    backend_->begin(step);
    const int n_rows = backend_->row_bucket(step.n_rows());
    backend_->rope_append({qkv_, layer, n_rows});
    backend_->attention({qkv_, out_, layer, n_rows});
    backend_->collect(backend_->end());
    const std::vector<float> out = case_.read(out_, step.n_rows());
    auto from = out.begin();
    for (const Part& part : parts) {
      const int64_t size = part.count * out_.cols;
      std::copy(from, from + size, outputs_[static_cast<size_t>(part.sequence)].begin() + part.start * out_.cols);
      from += size;
    }
  }

  // Every sequence in chunks of `chunk`, together in a step, in this order.
  void all(int chunk, const std::vector<int>& order) {
    for (int start = 0; start < kLength; start += chunk) {
      std::vector<Part> parts;
      for (int sequence : order) parts.push_back({sequence, start, std::min(chunk, kLength - start)});
      step(parts);
    }
  }

  const std::vector<float>& outputs(int sequence) const { return outputs_[static_cast<size_t>(sequence)]; }

  reference::Matrix expected(int sequence) const {
    const size_t d = static_cast<size_t>(heads_.head_dim);
    const int group = heads_.n_heads / heads_.n_kv_heads;
    const auto head = [&](int position, int index) {
      const auto from =
          projections_[static_cast<size_t>(sequence)].begin() + position * heads_.columns() + index * heads_.head_dim;
      return reference::Matrix(from, from + heads_.head_dim);
    };
    std::vector<reference::Matrix> keys(static_cast<size_t>(heads_.n_kv_heads)), values(keys.size());
    reference::Matrix all;
    for (int position = 0; position < kLength; ++position) {
      for (size_t h = 0; h < keys.size(); ++h) {
        const int index = heads_.n_heads + static_cast<int>(h);
        const reference::Matrix k = reference::rope(head(position, index), shape_.inv_freq, position);
        const reference::Matrix v = head(position, index + heads_.n_kv_heads);
        keys[h].insert(keys[h].end(), k.begin(), k.end());
        values[h].insert(values[h].end(), v.begin(), v.end());
      }
      const size_t skipped = heads_.window > 0 ? static_cast<size_t>(std::max(0, position + 1 - heads_.window)) * d : 0;
      const auto seen = [&](const reference::Matrix& m) {
        return reference::Matrix(m.begin() + static_cast<ptrdiff_t>(skipped), m.end());
      };
      for (int h = 0; h < heads_.n_heads; ++h) {
        const size_t kv = static_cast<size_t>(h / group);
        const reference::Matrix out = reference::attend(reference::rope(head(position, h), shape_.inv_freq, position),
                                                        seen(keys[kv]), seen(values[kv]));
        all.insert(all.end(), out.begin(), out.end());
      }
    }
    return all;
  }

 private:
  const BackendCase& case_;
  Heads heads_;
  StateShape shape_;
  std::unique_ptr<Backend> backend_;
  Tensor qkv_, out_;
  std::vector<std::vector<float>> projections_;  // [sequences]
  std::vector<std::vector<float>> outputs_;      // [sequences][kLength, n_heads * head_dim]
};

bool has_cache(const BackendCase& backend, DType dtype) {
  return dtype != DType::Int8 || backend.name.starts_with("cpu/");
}

// Decode rows and prefill chunks in the same steps, across block borders.
void run_mixed(Run& run) {
  run.step({{0, 0, 15}, {1, 0, 1}, {2, 0, 33}});
  run.step({{0, 15, 1}, {1, 1, 38}, {2, 33, 1}});
  run.step({{2, 34, 2}, {0, 16, 1}, {1, 39, 31}});
  run.step({{0, 17, 53}, {2, 36, 34}});
}

std::vector<Heads> all_heads() {
  std::vector<Heads> all;
  for (int head_dim : {2, 8, 16, 24, 64, 80, 128, 256}) all.push_back({2, 1, head_dim});
  for (int group : {1, 3, 8, 16, 64}) all.push_back({2 * group, 2, 8});
  for (int window : {1, 5, 16, 17, 40, 69, 100}) all.push_back({6, 2, 16, 16, window});
  for (int block_size : {32, 48}) all.push_back({4, 2, 24, block_size, block_size - 12});
  for (DType kv : {DType::BF16, DType::F16})
    for (int head_dim : {8, 24, 80}) all.push_back({4, 2, head_dim, 32, 0, kv, false});
  return all;
}

}  // namespace

TEST(attention_of_mixed_batches) {
  for (const BackendCase& backend : backend_cases())
    for (const Heads& heads : all_heads()) {
      if (heads.head_dim % backend.head_multiple != 0) continue;
      Run run(backend, heads, 2);
      run_mixed(run);
      for (int sequence = 0; sequence < kSequences; ++sequence)
        expect_near(backend, heads.name(), run.outputs(sequence), run.expected(sequence));
    }
}

TEST(a_16_bit_cache_rounds_rotated_keys) {
  for (const BackendCase& backend : backend_cases())
    for (DType kv : {DType::BF16, DType::F16}) {
      const Heads heads = {4, 2, 64, 16, 0, kv};
      Run run(backend, heads, 2);
      run_mixed(run);
      const double off = error(run.outputs(1), run.expected(1));
      CHECK(off < (kv == DType::BF16 ? 0x1p-8 : 0x1p-11));
      CHECK(off > 1e-5);  // it is not fp32 in disguise
    }
}

TEST(an_8_bit_cache_rounds_keys_and_values) {
  for (const BackendCase& backend : backend_cases()) {
    if (!has_cache(backend, DType::Int8)) continue;
    for (const Heads& heads : {Heads{4, 2, 64, 16, 0, DType::Int8}, Heads{6, 2, 24, 32, 20, DType::Int8}}) {
      Run run(backend, heads, 2);
      run_mixed(run);
      const double off = error(run.outputs(1), run.expected(1));
      CHECK(off < 0.01);
      CHECK(off > 1e-4);
    }
  }
}

TEST(an_8_bit_cache_holds_a_byte_a_number_and_two_scales_a_token) {
  const auto backend = backend_cases().front().make(DType::F32, 1);
  CHECK(backend->block_bytes(state_of({4, 2, 64, 16, 0, DType::Int8})) == 2 * 2 * 16 * (2 * 64 + 2 * 4));
}

TEST(attention_bits_do_not_depend_on_chunks_neighbours_or_threads) {
  for (const BackendCase& backend : backend_cases())
    for (const Heads& heads : {Heads{8, 2, 24}, Heads{3, 3, 64, 32, 20}, Heads{16, 1, 8, 16, 0, DType::BF16},
                               Heads{128, 2, 16, 16, 0, DType::F16}, Heads{6, 2, 24, 32, 20, DType::Int8}}) {
      if (!has_cache(backend, heads.kv_dtype)) continue;
      Run whole(backend, heads, 1);
      for (int sequence = 0; sequence < kSequences; ++sequence) whole.step({{sequence, 0, kLength}});
      const auto expect_same = [&](const Run& run, const std::string& how) {
        for (int sequence = 0; sequence < kSequences; ++sequence)
          expect_same_bits(backend, heads.name() + " " + how, run.outputs(sequence), whole.outputs(sequence));
      };
      for (int threads : {1, 2, 5}) {
        if (!backend.takes(threads)) continue;
        Run mixed(backend, heads, threads);
        run_mixed(mixed);
        expect_same(mixed, "mixed");
      }
      for (int chunk : {1, 7, 16, 33}) {
        Run chunked(backend, heads, 2);
        chunked.map_blocks(chunk);
        chunked.all(chunk, {2, 0, 1});
        expect_same(chunked, "in chunks of " + std::to_string(chunk));
      }
    }
}

TEST(attention_does_not_read_what_a_former_owner_left_in_a_block) {
  for (const BackendCase& backend : backend_cases())
    for (const Heads& heads :
         {Heads{4, 2, 24}, Heads{4, 2, 8, 32, 9, DType::F16}, Heads{4, 2, 24, 16, 9, DType::Int8}}) {
      if (!has_cache(backend, heads.kv_dtype)) continue;
      Run clean(backend, heads, 2), used(backend, heads, 2);
      for (float rubbish : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        used.spoil(rubbish);
        used.all(kLength, {0, 1, 2});
        used.restore();
        used.map_blocks(1);
        used.all(13, {0, 1, 2});
        clean.all(13, {0, 1, 2});
        for (int sequence = 0; sequence < kSequences; ++sequence)
          expect_same_bits(backend, heads.name(), used.outputs(sequence), clean.outputs(sequence));
      }
    }
}

TEST(layers_have_their_own_cache) {
  for (const BackendCase& backend : backend_cases()) {
    const Heads heads = {4, 2, 16};
    Run alone(backend, heads, 1), both(backend, heads, 1);
    alone.all(35, {0, 1, 2});
    both.step({{0, 0, 35}, {1, 0, 35}, {2, 0, 35}}, 1);
    both.spoil(0.5f);
    both.step({{2, 0, 35}, {0, 0, 35}, {1, 0, 35}}, 0);
    both.restore();
    both.step({{0, 35, 35}, {1, 35, 35}, {2, 35, 35}}, 1);
    for (int sequence : {0, 1, 2})
      for (int64_t i = 35 * 4 * 16; i < 70 * 4 * 16; ++i)
        CHECK(both.outputs(sequence)[static_cast<size_t>(i)] == alone.outputs(sequence)[static_cast<size_t>(i)]);
  }
}
