// Numbers in memory: types, views of files on the host, activations on a device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gattling {

class Quantised;

// Int8 is for the KV cache only, where each token of a head has a scale; Int32 for what files pack integers into.
enum class DType : uint8_t { F32, BF16, F16, Int8, Int32 };

constexpr size_t size_of(DType dtype) {
  return dtype == DType::F32 || dtype == DType::Int32 ? 4 : dtype == DType::Int8 ? 1 : 2;
}

constexpr const char* name_of(DType dtype) {
  constexpr const char* names[] = {"float32", "bfloat16", "float16", "int8", "int32"};
  return names[static_cast<size_t>(dtype)];
}

// A view of a checkpoint's tensor, row-major, as stored; the file stays mapped while the view lives. Possibly
// unaligned.
struct HostTensor {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  const std::byte* data = nullptr;
  // What is stored when that is not `dtype`s: integers in groups (quantised.h); it lives as long as the view. `dtype`
  // is then what comes nearest, for whoever wants plain numbers.
  const Quantised* quantised = nullptr;
  size_t stored_bytes = 0;  // of a quantised tensor, at `data`
  // Not 0: rows of each head of this size lie as llama.cpp stores them, both of a rotated pair next to each other.
  int64_t paired_head = 0;

  int64_t size() const {
    int64_t n = 1;
    for (int64_t extent : shape) n *= extent;
    return n;
  }
  // Where row `row` of Hugging Face's order (a head's first halves of pairs, then the second) lies.
  int64_t stored_row(int64_t row) const {
    if (paired_head == 0) return row;
    const int64_t half = paired_head / 2, in_head = row % paired_head;
    return row - in_head + in_head % half * 2 + in_head / half;
  }
  size_t bytes() const { return quantised ? stored_bytes : static_cast<size_t>(size()) * size_of(dtype); }
};

// A view of device memory that a backend owns: [rows, cols], row-major, rows is a capacity.
struct Tensor {
  void* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  DType dtype = DType::F32;
};

}  // namespace gattling
