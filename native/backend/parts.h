// The tensors that pack() is given, as one matrix: checked, joined, and cut to a rank's part.
#pragma once

#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/half.h"

namespace gattling {

// Rows [first, first + count) of a matrix, in the model's order: HostTensor::stored_row() says where each lies.
struct RowRange {
  const HostTensor* tensor;
  int64_t first;
  int64_t count;
};

// The matrix to pack: row ranges below each other, columns [first_col, first_col + k) of each.
struct Source {
  std::vector<RowRange> rows;
  int64_t row_size = 0;  // of the stored matrices
  int64_t first_col = 0;
  int64_t n = 0;
  int64_t k = 0;
};

// Throws Error on parts that do not belong together or that the ranks do not divide; ranks cut quantised columns
// between groups only.
Source source_of(Use use, std::span<const HostTensor> parts, Shard shard);

// Columns [col, col + n) of the model's row `row`, as stored or dequantised.
void read_columns(const HostTensor& tensor, int64_t row, int64_t col, int64_t n, float* to);

// Columns [col, col + n) of row `row`, converted; quantised ones are dequantised first.
void read_source(const Source& source, int64_t row, int64_t col, int64_t n, float* to);
void read_source(const Source& source, int64_t row, int64_t col, int64_t n, bf16* to);
void read_source(const Source& source, int64_t row, int64_t col, int64_t n, f16* to);

// The type to store a weight as: `compute`, or, as fp32 arithmetic reads any type exactly, the parts' own.
DType stored_type(Use use, std::span<const HostTensor> parts, DType compute);

// [n] or empty. A bias that is split by rows goes along; one of a sum over ranks is added by the first rank.
std::vector<float> read_biases(Use use, std::span<const HostTensor> parts, const Source& source, Shard shard);

}  // namespace gattling
