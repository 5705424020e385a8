// Scores and samples rows of logits on the device, by the rules of the CPU's sampler and with its random numbers: as
// far as logits agree, so do tokens. Nothing here waits for the device; a step's result is read once its event has
// passed. Memory that only some requests need (counts for penalties, adjusted logits, masks) is taken when the first
// such request comes.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "cuda/kernels/sample.h"

namespace gattling::cuda {

class Sampler {
 public:
  // tile_rows: logits rows of a sample() at most.
  Sampler(const StateShape& shape, int tile_rows, Stream& stream);

  // Enqueues what sequences that move into slots bring, their last token into the pool too, and the step's outputs: the
  // rows that are scored or sampled, in row order. The step has passed check_step(). At most one earlier step may be
  // unfinished. Throws Error when memory that its requests need is not there.
  void begin(const Step& step);
  // [n_outputs] int32 on the device: the row of each of this step's outputs, until the next begin().
  const int32_t* output_rows() const { return output_rows_; }
  int n_outputs() const { return static_cast<int>(outputs().size()); }

  // Bits [ceil(V / 32)] of the tokens that this step's sample of a slot may be.
  void set_mask(int slot, std::span<const uint32_t> bits);
  // Enqueues the next outputs, [first, first + count): their results, and of sampled ones the slot's last token and
  // counts. logits: [count, stride] fp32 on the device.
  void sample(const float* logits, int64_t stride, int first, int count);

  // Enqueues the copy of the results to the host; names them for read().
  Ticket end();
  // All of a result but `hidden`, once that copy is done and before the third begin() after it.
  void read(Ticket ticket, StepResult& result) const;

  // [n_slots] int32 on the device, at one place for good: the id that each slot sampled last.
  const int32_t* last_tokens() const { return last_tokens_.as<int32_t>(); }

 private:
  // What the host needs to know of a slot's sampling.
  struct Slot {
    bool filters = false;
    bool random = false;
    Ticket set_up = 0;  // the step of its last setup
    Buffer lists;       // bias and stop tokens
  };
  struct Output {
    int slice;
    int row;
    int score_top;  // 0 when it is not scored
    int top;        // -1 when no log-probability is wanted
    SampleTask task;
  };
  // Page-locked memory that a step's uploads come from.
  struct Staging {
    HostBuffer setups;
    HostBuffer outputs;
    HostBuffer masks;
    Event copied;  // all that was put here
  };
  // Where a step's results arrive.
  struct Pending {
    HostBuffer answers;
    HostBuffer tops;
    std::vector<Output> outputs;
    int n_tops = 0;
    int n_done = 0;  // outputs that were sampled
  };

  Staging& staging() { return staging_[step_ % staging_.size()]; }
  Pending& pending() { return pending_[step_ % pending_.size()]; }
  const std::vector<Output>& outputs() const { return pending_[step_ % pending_.size()].outputs; }

  void set_up_slots(const Step& step);
  SlotSampling take_sampling(const SlotInit& init);
  void collect_outputs(const Step& step);
  void add_output(const Slice& slice, int index, int row, bool sample, int target);
  void upload_outputs();
  void need_adjusted();
  void grow(Buffer& buffer, size_t bytes);

  StateShape shape_;
  int tile_rows_;
  Stream& stream_;
  int64_t row_size_;   // of counts and adjusted logits, elements
  int64_t mask_size_;  // words: the bits, padding, the stamp
  int n_chunks_;
  Ticket step_ = 0;
  const int32_t* output_rows_ = nullptr;

  std::vector<Slot> slots_;
  std::array<Staging, 3> staging_;  // of steps in flight, and the one being made
  std::array<Pending, 4> pending_;  // a result lives until the collect after the next
  std::vector<Buffer> retired_;     // too small, and perhaps still read: freeing one would wait for the device

  Buffer sampling_;     // SlotSampling [n_slots]
  Buffer last_tokens_;  // int32 [n_slots]
  Buffer counts_;       // uint32 [n_slots, row_size]
  Buffer masks_;        // uint32 [n_slots, mask_size]
  Buffer adjusted_;     // float [tile_rows, row_size]
  Buffer setups_;       // an upload
  Buffer outputs_;      // SampleTask [n], int32 [n] rows
  Buffer surveys_;      // ChunkSurvey [tile_rows, n_chunks]
  Buffer draws_;        // uint64 [tile_rows, n_chunks]
  Buffer cuts_;         // uint64 [tile_rows]
  Buffer answers_;      // SampleAnswer [max_rows]
  Buffer tops_;         // SampleTops [max_rows]
};

}  // namespace gattling::cuda
