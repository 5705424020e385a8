// What a model says to a prompt, on device cpu.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "caller.h"
#include "model/load.h"
#include "test.h"

namespace test {

// A greedy text of a model folder or file, and the scores of its prompt, five alternatives a token.
inline Caller::Told greedy(const std::string& path, std::optional<gattling::DType> dtype, std::vector<int32_t> prompt,
                           int n_tokens = 24) {
  using namespace gattling;
  LoadOptions options;
  options.folder = path;
  options.device = "cpu";
  options.dtype = options.kv_dtype = dtype;
  options.max_num_seqs = 1;
  options.kv_cache_memory = 16 << 20;
  Caller caller(load_model(options, nullptr));
  auto s = std::make_unique<Sequence>();
  s->tokens = std::move(prompt);
  s->max_tokens = n_tokens;
  s->top = s->prompt_top = 5;
  s->sampling.temperature = 0;
  const uint32_t id = caller.engine.submit(std::move(s));
  caller.wait_for(id);
  const Caller::Told told = caller.told[id];
  if (told.finish != static_cast<int>(FinishCode::Length)) failed(__FILE__, __LINE__, path + ": " + told.error);
  return told;
}

inline std::vector<int32_t> prompt_of(int vocab) {
  std::vector<int32_t> ids;
  for (int i = 0; i < 20; ++i) ids.push_back((i * 37 + 5) % vocab);
  return ids;
}

}  // namespace test
