#include "ops_cases.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#define GATTLING_TEST_NO_MAIN
#include "backend/half.h"
#include "cpu/cpu_backend.h"
#include "test.h"

namespace ops {

using gattling::DType;
using gattling::Tensor;

#ifdef GATTLING_OPS_CUDA
void add_cuda(std::vector<BackendCase>& found);  // ops_cuda.cpp
#endif

namespace {

void write_host(const Tensor& tensor, const std::vector<float>& values) {
  std::memcpy(tensor.data, values.data(), values.size() * sizeof(float));
}

std::vector<float> read_host(const Tensor& tensor, int64_t rows) {
  const auto* data = static_cast<const float*>(tensor.data);
  return std::vector<float>(data, data + rows * tensor.cols);
}

std::vector<BackendCase> find_cases() {
  std::vector<BackendCase> found;
  for (const char* unit : {"avx512vnni", "avx512", "avx2", "neon", "plain"}) {
    const auto make = [unit](DType compute, int threads) {
      return gattling::make_cpu_backend({.threads = threads, .compute = compute, .unit = unit});
    };
    try {
      make(DType::F32, 1);
      found.push_back({std::string("cpu/") + unit, make, write_host, read_host, 4e-6, {1, 2, 3, 5, 8}});
    } catch (const std::exception& error) {
      std::printf("skipped cpu/%s: %s\n", unit, error.what());
    }
  }
#ifdef GATTLING_OPS_CUDA
  add_cuda(found);
#endif
  return found;
}

uint16_t half_of(float value) {  // for values that f16 holds exactly as normal numbers
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if (value == 0) return static_cast<uint16_t>(bits >> 16);
  const uint32_t exponent = (bits >> 23 & 0xff) - 127 + 15;
  return static_cast<uint16_t>((bits >> 16 & 0x8000) | exponent << 10 | (bits >> 13 & 0x3ff));
}

}  // namespace

std::vector<float> BackendCase::exact(std::vector<float> values) const {
  for (float& value : values) {
    if (!half_activations) break;
    gattling::f16 half;
    gattling::narrow(value, half);
    value = gattling::widen(half);
  }
  return values;
}

const std::vector<BackendCase>& backend_cases() {
  static const std::vector<BackendCase> cases = find_cases();
  return cases;
}

uint64_t Random::next() {  // splitmix64
  uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

float Random::uniform() {
  return static_cast<float>(static_cast<int64_t>(next() >> 40) - (1 << 23)) * 0x1p-23f;
}

std::vector<float> Random::floats(size_t n) {
  std::vector<float> values(n);
  for (float& value : values) value = uniform();
  return values;
}

Stored::Stored(Random& random, DType dtype, std::vector<int64_t> shape, double scale) {
  tensor.name = "stored";
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  const size_t n = static_cast<size_t>(tensor.size()), size = size_of(dtype);
  bytes.resize(n * size + 1);
  for (size_t i = 0; i < n; ++i) {
    float value = random.uniform() * static_cast<float>(scale);
    if (dtype != DType::F32) {  // 6 significant bits at a power of two around the scale
      const float step = std::exp2(std::floor(std::log2(static_cast<float>(scale)))) / 64;
      value = std::round(value / step) * step;
    }
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    const uint16_t half = dtype == DType::F16 ? half_of(value) : static_cast<uint16_t>(bits >> 16);
    std::memcpy(&bytes[1 + i * size], dtype == DType::F32 ? static_cast<const void*>(&bits) : &half, size);
    values.push_back(static_cast<double>(value));
  }
  tensor.data = bytes.data() + 1;
}

reference::Matrix doubles(const std::vector<float>& values) {
  return reference::Matrix(values.begin(), values.end());
}

double error(const std::vector<float>& have, const reference::Matrix& want) {
  if (have.size() != want.size()) return 1e30;
  double largest = 1e-30, difference = 0;
  for (size_t i = 0; i < have.size(); ++i) {
    largest = std::max(largest, std::abs(want[i]));
    const double off = std::abs(static_cast<double>(have[i]) - want[i]);
    difference = std::max(difference, std::isnan(off) ? 1e30 : off);
  }
  return difference / largest;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void expect_near(const BackendCase& backend, const std::string& where, const std::vector<float>& have,
                 const reference::Matrix& want) {
  const double off = error(have, want);
  if (!(off <= backend.tolerance))
    test::failed(__FILE__, __LINE__, backend.name + " " + where + ": relative error " + std::to_string(off));
}

void expect_same_bits(const BackendCase& backend, const std::string& where, const std::vector<float>& have,
                      const std::vector<float>& want) {
  if (!same_bits(have, want)) test::failed(__FILE__, __LINE__, backend.name + " " + where + ": bits differ");
}

}  // namespace ops
