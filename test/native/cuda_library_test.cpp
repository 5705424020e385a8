// Matmuls by cuBLASLt, against a fake of it (cublaslt/fake.cpp).
#include <dlfcn.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>

#include "backend/backend.h"
#include "backend/error.h"
#include "cuda/cublaslt.h"
#include "cuda/cuda_backend.h"
#include "cuda/library_linear.h"
#include "cuda_buffers.h"
#include "test.h"

using namespace gattling;
using namespace gattling::cuda;

namespace {

constexpr float kUntouched = 7.5f;

void root(const char* folder) {
  setenv("CUBLAS_ROOT", folder, 1);
}

int count_of(const char* function) {
  void* library = dlopen(FAKE_CUBLASLT "/lib/libcublasLt.so.13", RTLD_NOW | RTLD_NOLOAD);
  return reinterpret_cast<int (*)()>(dlsym(library, function))();
}

int padded(int n) {
  return (n + 63) / 64 * 64;
}

size_t at(int row, int stride) {
  return static_cast<size_t>(row) * static_cast<size_t>(stride);
}

// [rows, stride] with k columns of numbers and padding of zeros.
template <typename T>
std::vector<T> matrix(int rows, int k, int stride, size_t seed) {
  std::vector<T> values(at(rows, stride));
  for (int row = 0; row < rows; ++row)
    for (int i = 0; i < k; ++i)
      values[at(row, stride) + static_cast<size_t>(i)] =
          test::rounded<T>(test::value(seed + at(row, k) + static_cast<size_t>(i)));
  return values;
}

template <typename T>
double dot(const std::vector<T>& a, int row_a, const std::vector<T>& b, int row_b, int k, int stride) {
  double sum = 0;
  for (int i = 0; i < k; ++i) {
    const size_t column = static_cast<size_t>(i);
    sum += double{widen(a[at(row_a, stride) + column])} * double{widen(b[at(row_b, stride) + column])};
  }
  return sum;
}

template <typename T, typename Out>
void check_matmul(CublasLt& library, int rows, int n, int k) {
  const int stride = padded(k), out_stride = padded(n);
  Stream stream;
  const auto x = matrix<T>(rows, k, stride, 1), weight = matrix<T>(n, k, stride, 77);
  const Buffer x_buffer = test::on_device(x, stream), weight_buffer = test::on_device(weight, stream);
  const Buffer out_buffer =
      test::on_device(std::vector<Out>(at(rows, out_stride), test::rounded<Out>(kUntouched)), stream);
  const MatmulShape shape = {rows, n, k, stride, stride, out_stride, test::half_of<T>, std::is_same_v<Out, float>};
  const auto matmul = library.prepare(shape, 4);
  CHECK(matmul->n_ways() == 1);
  matmul->run(0, out_buffer.as<void>(), x_buffer.as<void>(), weight_buffer.as<void>(), stream);
  const std::vector<Out> out = test::on_host<Out>(out_buffer, stream);
  for (int row = 0; row < rows; ++row)
    for (int i = 0; i < out_stride; ++i) {
      const double have = double{widen(out[at(row, out_stride) + static_cast<size_t>(i)])};
      const double want = i < n ? dot(x, row, weight, i, k, stride) : double{kUntouched};
      const double unit = std::is_same_v<Out, float> ? 1e-6 : test::unit_of<T>;
      CHECK(std::fabs(have - want) <= unit * std::fabs(want) + 1e-5 * k);
    }
}

// One linear layer on the backend: what it gives for `rows` rows.
std::vector<float> run_layer(bool deterministic, int rows, int n, int k, bool biased, std::string* unit = nullptr) {
  BackendOptions options;
  options.compute = DType::BF16;
  options.deterministic = deterministic;
  const auto backend = make_cuda_backend(options);
  if (unit != nullptr) *unit = backend->info().unit;
  const auto weight = matrix<bf16>(n, k, k, 5), x = matrix<bf16>(rows, k, padded(k), 9);
  const std::vector<float> bias(static_cast<size_t>(n), 0.5f);
  std::vector<HostTensor> parts(1);
  parts[0] = {"o", DType::BF16, {n, k}, reinterpret_cast<const std::byte*>(weight.data())};
  if (biased) parts.push_back({"b", DType::F32, {n}, reinterpret_cast<const std::byte*>(bias.data())});
  const auto packed = backend->pack(Use::AttnOut, parts, {});
  const Tensor in = backend->allocate(Role::Activation, rows, k), out = backend->allocate(Role::Activation, rows, n);
  std::memcpy(in.data, x.data(), x.size() * sizeof(bf16));
  backend->linear({packed.get(), in, out, rows});
  std::vector<float> values;
  for (int row = 0; row < rows; ++row)
    for (int i = 0; i < n; ++i)
      values.push_back(widen(static_cast<const bf16*>(out.data)[at(row, padded(n)) + static_cast<size_t>(i)]));
  return values;
}

// The fused feed-forward: gate and up, then SwiGLU.
std::vector<float> run_feed_forward(bool deterministic, int rows, int ffn, int k) {
  BackendOptions options;
  options.compute = DType::BF16;
  options.deterministic = deterministic;
  const auto backend = make_cuda_backend(options);
  const auto gate = matrix<bf16>(ffn, k, k, 5), up = matrix<bf16>(ffn, k, k, 500),
             x = matrix<bf16>(rows, k, padded(k), 9);
  const std::vector<HostTensor> parts = {
      {"gate", DType::BF16, {ffn, k}, reinterpret_cast<const std::byte*>(gate.data())},
      {"up", DType::BF16, {ffn, k}, reinterpret_cast<const std::byte*>(up.data())}};
  const auto packed = backend->pack(Use::GateUp, parts, {});
  const Tensor in = backend->allocate(Role::Activation, rows, k),
               gate_up = backend->allocate(Role::Activation, rows, 2 * ffn),
               out = backend->allocate(Role::Activation, rows, ffn);
  std::memcpy(in.data, x.data(), x.size() * sizeof(bf16));
  backend->linear({packed.get(), in, gate_up, rows});
  backend->swiglu({gate_up, out, rows});
  std::vector<float> values;
  for (int row = 0; row < rows; ++row)
    for (int i = 0; i < ffn; ++i)
      values.push_back(widen(static_cast<const bf16*>(out.data)[at(row, padded(ffn)) + static_cast<size_t>(i)]));
  return values;
}

void check_near(const std::vector<float>& have, const std::vector<float>& want, double tolerance) {
  CHECK(have.size() == want.size());
  for (size_t i = 0; i < have.size(); ++i) CHECK(std::fabs(have[i] - want[i]) <= tolerance * (1 + std::fabs(want[i])));
}

}  // namespace

TEST(a_matmul_is_told_as_the_library_wants_it) {
  root(FAKE_CUBLASLT);
  const auto library = CublasLt::find();
  CHECK(library->name() == "cuBLASLt 13.1");
  for (const auto& [rows, n, k] : {std::array{1, 1, 1}, {3, 17, 33}, {130, 96, 100}}) {
    check_matmul<bf16, bf16>(*library, rows, n, k);
    check_matmul<f16, f16>(*library, rows, n, k);
    check_matmul<bf16, float>(*library, rows, n, k);
  }
}

TEST(what_was_created_is_destroyed) {
  root(FAKE_CUBLASLT);
  auto library = CublasLt::find();
  const int before = count_of("fake_alive");
  auto matmul = library->prepare({200, 96, 64, 64, 64, 128, Half::BF16, false}, 2);
  CHECK(count_of("fake_alive") == before + 4);
  matmul.reset();
  CHECK(count_of("fake_alive") == before);
  library.reset();
  CHECK(count_of("fake_alive") == before - 1);
}

TEST(large_matmuls_go_to_the_library) {
  root(FAKE_CUBLASLT);
  std::string unit;
  const int before = (CublasLt::find(), count_of("fake_matmuls"));
  const std::vector<float> theirs = run_layer(false, kLibraryRows + 5, 96, 100, false, &unit);
  CHECK(unit == "emulated device, cuBLASLt 13.1");
  CHECK(count_of("fake_matmuls") == before + 1);
  check_near(theirs, run_layer(true, kLibraryRows + 5, 96, 100, false), 0.01);
  CHECK(count_of("fake_matmuls") == before + 1);  // bits that depend on no rows are ours
  run_layer(false, kLibraryRows - 1, 96, 100, false);
  run_layer(false, kLibraryRows + 5, 96, 100, true);
  CHECK(count_of("fake_matmuls") == before + 1);  // few rows, and biases, are ours too
}

TEST(a_feed_forward_whose_matmul_is_the_librarys) {
  root(FAKE_CUBLASLT);
  const int before = (CublasLt::find(), count_of("fake_matmuls"));
  const std::vector<float> theirs = run_feed_forward(false, kLibraryRows, 40, 72);
  CHECK(count_of("fake_matmuls") == before + 1);
  check_near(theirs, run_feed_forward(true, kLibraryRows, 40, 72), 0.04);
}

TEST(a_shape_that_the_library_has_nothing_for) {
  root(FAKE_CUBLASLT);
  const int before = (CublasLt::find(), count_of("fake_matmuls"));
  const std::vector<float> ours = run_layer(false, kLibraryRows, 136, 64, false);
  CHECK(count_of("fake_matmuls") == before);
  check_near(ours, run_layer(true, kLibraryRows, 136, 64, false), 0.01);
}

TEST(a_library_that_cannot_be_used) {
  root(FAKE_CUBLASLT "/lacking");
  THROWS("libcublasLt.so.12 cannot be used: it has no cublasLtDestroy; name the folder of cuBLAS 12", CublasLt::find());
  root(FAKE_CUBLASLT "/nowhere");
  THROWS("/nowhere, and there is no libcublasLt.so, .so.12 or .so.13 in it, its lib or lib64", CublasLt::find());
  THROWS("unset it", run_layer(false, 1, 16, 16, false));
  unsetenv("CUBLAS_ROOT");
  std::string unit;
  run_layer(false, kLibraryRows, 16, 16, false, &unit);
  CHECK(unit == "emulated device");
}
