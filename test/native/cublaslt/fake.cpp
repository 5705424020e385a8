// A cuBLASLt for the emulation, whose device memory is the host's: the calls that native/cuda/cublaslt.cpp makes, which
// it holds to the documentation's rules, and a plain matmul behind them.
#include <cstdint>
#include <cstring>
#include <limits>

#include "backend/half.h"

using gattling::bf16;
using gattling::f16;

namespace {

enum Status { kSuccess = 0, kInvalidValue = 7, kNotSupported = 15 };
enum DataType { kReal32F = 0, kReal16F = 2, kReal16BF = 14 };
constexpr uint64_t kWay = 0x5ea1ed;
// A shape with this n is one that the library has nothing for.
constexpr uint64_t kUnknownColumns = 136;

int alive = 0;
int matmuls = 0;

struct Desc {
  int32_t transposed = 0;
};
struct Layout {
  int type;
  uint64_t rows, cols;
  int64_t stride;
};
struct Preference {
  uint64_t workspace = 0;
};

template <typename T>
int create(void** out, T object) {
  *out = new T(object);
  ++alive;
  return kSuccess;
}

template <typename T>
int destroy(void* object) {
  delete static_cast<T*>(object);
  --alive;
  return kSuccess;
}

float read(const void* data, int type, int64_t i) {
  if (type == kReal16BF) return gattling::widen(static_cast<const bf16*>(data)[i]);
  if (type == kReal16F) return gattling::widen(static_cast<const f16*>(data)[i]);
  return static_cast<const float*>(data)[i];
}

void write(void* data, int type, int64_t i, float value) {
  if (type == kReal16BF) return gattling::narrow(value, static_cast<bf16*>(data)[i]);
  if (type == kReal16F) return gattling::narrow(value, static_cast<f16*>(data)[i]);
  static_cast<float*>(data)[i] = value;
}

// a^T b = c by columns: a [k, m], b [k, n], c [m, n].
bool agree(const Layout& a, const Layout& b, const Layout& c) {
  const bool fits = a.rows == b.rows && a.cols == c.rows && b.cols == c.cols;
  const bool strides = a.stride >= static_cast<int64_t>(a.rows) && b.stride >= static_cast<int64_t>(b.rows) &&
                       c.stride >= static_cast<int64_t>(c.rows);
  const bool types = a.type == b.type && a.type != kReal32F && (c.type == a.type || c.type == kReal32F);
  return fits && strides && types;
}

bool aligned(const void* data) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0;
}

}  // namespace

extern "C" {

struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspace_bytes;
  int state;
  float waves;
  int reserved[4];
};

int fake_alive() {
  return alive;
}
int fake_matmuls() {
  return matmuls;
}

int cublasLtCreate(void** handle) {
  return create(handle, 0);
}
int cublasLtDestroy(void* handle) {
  return destroy<int>(handle);
}
size_t cublasLtGetVersion() {
  return 130100;
}
int cublasLtMatmulDescCreate(void** desc, int compute, int scale) {
  return compute == 68 && scale == kReal32F ? create(desc, Desc{}) : int{kInvalidValue};
}
int cublasLtMatmulDescDestroy(void* desc) {
  return destroy<Desc>(desc);
}
int cublasLtMatmulDescSetAttribute(void* desc, int attribute, const void* value, size_t bytes) {
  if (attribute != 3 || bytes != sizeof(int32_t)) return kInvalidValue;
  std::memcpy(&static_cast<Desc*>(desc)->transposed, value, bytes);
  return kSuccess;
}
int cublasLtMatrixLayoutCreate(void** layout, int type, uint64_t rows, uint64_t cols, int64_t stride) {
  return create(layout, Layout{type, rows, cols, stride});
}
int cublasLtMatrixLayoutDestroy(void* layout) {
  return destroy<Layout>(layout);
}
int cublasLtMatmulPreferenceCreate(void** preference) {
  return create(preference, Preference{});
}
int cublasLtMatmulPreferenceDestroy(void* preference) {
  return destroy<Preference>(preference);
}
int cublasLtMatmulPreferenceSetAttribute(void* preference, int attribute, const void* value, size_t bytes) {
  if (attribute != 1 || bytes != sizeof(uint64_t)) return kInvalidValue;
  std::memcpy(&static_cast<Preference*>(preference)->workspace, value, bytes);
  return kSuccess;
}

int cublasLtMatmulAlgoGetHeuristic(void*, void* desc, void* a, void* b, void* c, void* d, void* preference, int wanted,
                                   Heuristic* results, int* n_found) {
  const auto &layout_a = *static_cast<Layout*>(a), &layout_b = *static_cast<Layout*>(b);
  *n_found = 0;
  if (static_cast<Desc*>(desc)->transposed != 1 || c != d || wanted < 1) return kInvalidValue;
  if (!agree(layout_a, layout_b, *static_cast<Layout*>(d))) return kInvalidValue;
  if (layout_a.cols == kUnknownColumns) return kNotSupported;
  results[0] = {};
  results[0].algorithm.data[0] = kWay;
  results[0].workspace_bytes = static_cast<Preference*>(preference)->workspace;
  *n_found = 1;
  return kSuccess;
}

int cublasLtMatmul(void*, void* desc, const void* alpha, const void* a, void* layout_a, const void* b, void* layout_b,
                   const void* beta, const void* c, void* layout_c, void* d, void* layout_d, const Algorithm* way,
                   void* workspace, size_t workspace_bytes, void*) {
  const auto &la = *static_cast<Layout*>(layout_a), &lb = *static_cast<Layout*>(layout_b),
             &ld = *static_cast<Layout*>(layout_d);
  const bool told = static_cast<Desc*>(desc)->transposed == 1 && way->data[0] == kWay && c == d && layout_c == layout_d;
  const bool scaled = *static_cast<const float*>(alpha) == 1 && *static_cast<const float*>(beta) == 0;
  if (!told || !scaled || !agree(la, lb, ld) || workspace == nullptr || workspace_bytes == 0) return kInvalidValue;
  if (!aligned(a) || !aligned(b) || !aligned(d) || !aligned(workspace)) return kInvalidValue;
  ++matmuls;
  const auto k = static_cast<int64_t>(la.rows);
  for (int64_t col = 0; col < static_cast<int64_t>(ld.cols); ++col)
    for (int64_t row = 0; row < static_cast<int64_t>(ld.rows); ++row) {
      float sum = 0;
      for (int64_t i = 0; i < k; ++i)
        sum += read(a, la.type, row * la.stride + i) * read(b, lb.type, col * lb.stride + i);
      write(d, ld.type, col * ld.stride + row, sum);
    }
  return kSuccess;
}
}
