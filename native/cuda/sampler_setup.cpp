// What a sequence brings into its slot: parameters, lists and tokens, packed into one upload.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "cuda/sampler.h"

namespace gattling::cuda {
namespace {

static_assert(sizeof(SlotSetup) % 8 == 0 && sizeof(LogitBias) == 8);

bool penalises(const Sampling& sampling) {
  return sampling.presence_penalty != 0 || sampling.frequency_penalty != 0 || sampling.repetition_penalty != 1;
}

// Stop tokens matter to sampling while they are banned.
std::span<const int32_t> banned(const Sampling& sampling) {
  return sampling.min_tokens > 0 ? std::span(sampling.stop_ids) : std::span<const int32_t>();
}

// Bytes that follow the setups of an upload.
size_t lists_bytes(const Sampling& sampling) {
  return sampling.bias.size() * sizeof(LogitBias) + banned(sampling).size_bytes();
}

size_t upload_bytes(const SlotInit& init) {
  return sizeof(SlotSetup) + lists_bytes(*init.sampling) +
         (penalises(*init.sampling) ? init.tokens.size_bytes() : size_t{0});
}

// Parts of an upload, one behind the other.
class Writer {
 public:
  Writer(std::byte* data, size_t at) : data_(data), at_(at) {}

  // The offset of what it wrote.
  int64_t write(const void* from, size_t bytes) {
    const size_t at = at_;
    if (bytes > 0) std::memcpy(data_ + at, from, bytes);
    at_ += bytes;
    return static_cast<int64_t>(at);
  }
  int64_t write_bias(const std::vector<std::pair<int32_t, float>>& bias) {
    const int64_t at = static_cast<int64_t>(at_);
    for (const auto& [token, value] : bias) {
      const LogitBias entry = {token, value};
      write(&entry, sizeof entry);
    }
    return at;
  }
  size_t size() const { return at_; }

 private:
  std::byte* data_;
  size_t at_;
};

}  // namespace

void Sampler::set_up_slots(const Step& step) {
  std::vector<const SlotInit*> inits;
  size_t bytes = 0;
  for (size_t i = step.inits.size(); i-- > 0;) {  // of two for one slot the later counts
    const SlotInit& init = step.inits[i];
    Slot& slot = slots_[static_cast<size_t>(init.slot)];
    if (std::exchange(slot.set_up, step_) == step_) continue;
    inits.push_back(&init);
    bytes += upload_bytes(init);
  }
  if (inits.empty()) return;
  HostBuffer& host = staging().setups;
  if (host.bytes() < bytes) host = HostBuffer(std::max(bytes, 2 * host.bytes()));
  grow(setups_, bytes);

  auto* setups = host.as<SlotSetup>();
  Writer writer(host.as<std::byte>(), inits.size() * sizeof(SlotSetup));
  for (size_t i = 0; i < inits.size(); ++i) {
    const SlotInit& init = *inits[i];
    const Sampling& sampling = *init.sampling;
    SlotSetup& setup = setups[i];
    setup = {};
    setup.sampling = take_sampling(init);
    setup.n_tokens = setup.sampling.penalises ? static_cast<int32_t>(init.tokens.size()) : 0;
    setup.tokens = writer.write(init.tokens.data(), static_cast<size_t>(setup.n_tokens) * sizeof(int32_t));
    setup.bias = writer.write_bias(sampling.bias);
    setup.stops = writer.write(sampling.stop_ids.data(), banned(sampling).size_bytes());
    setup.slot = init.slot;
    setup.last_token = init.tokens.empty() ? 0 : init.tokens.back();
  }
  stream_.copy_to_device(setups_.as<void>(), setups, writer.size());
  sample_setup(setups_.as<std::byte>(), static_cast<int>(inits.size()), sampling_.as<SlotSampling>(),
               last_tokens_.as<int32_t>(), counts_.as<uint32_t>(), row_size_, stream_);
}

// The device's form of a slot's parameters, with the memory that they need.
SlotSampling Sampler::take_sampling(const SlotInit& init) {
  const Sampling& sampling = *init.sampling;
  const std::span<const int32_t> stops = banned(sampling);
  Slot& slot = slots_[static_cast<size_t>(init.slot)];
  SlotSampling to = {};
  to.seed = sampling.seed;
  to.n_bias = static_cast<int32_t>(sampling.bias.size());
  to.n_stops = static_cast<int32_t>(stops.size());
  to.temperature = sampling.temperature;
  to.top_k = sampling.top_k > 0 && sampling.top_k < shape_.vocab_size ? sampling.top_k : 0;
  to.top_p = std::min(sampling.top_p, 1.0f);
  to.least = sampling.min_p > 0 ? std::min(0.0f, static_cast<float>(std::log(static_cast<double>(sampling.min_p))))
                                : -std::numeric_limits<float>::infinity();
  to.presence = sampling.presence_penalty;
  to.frequency = sampling.frequency_penalty;
  to.repetition = sampling.repetition_penalty;
  to.penalises = penalises(sampling);
  to.n_prompt = init.n_prompt;
  to.min_tokens = sampling.min_tokens;

  slot.random = to.temperature > 0;
  slot.filters = slot.random && (to.top_k > 0 || to.top_p < 1);
  if (to.penalises || to.n_bias > 0 || to.n_stops > 0) need_adjusted();
  if (to.penalises) grow(counts_, slots_.size() * static_cast<size_t>(row_size_) * sizeof(uint32_t));
  grow(slot.lists, lists_bytes(sampling));
  to.bias = slot.lists.as<LogitBias>();
  to.stops = reinterpret_cast<int32_t*>(to.bias + to.n_bias);
  return to;
}

}  // namespace gattling::cuda
