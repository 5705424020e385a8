#include "cuda_library.h"

#include <dlfcn.h>
#include <glob.h>

#include <cstdlib>
#include <vector>

#include "backend/error.h"

namespace bench {
namespace {

using namespace gattling::cuda;
using gattling::check;

// Of cublasLt.h (cuBLAS documentation, "cublasLt Datatypes Reference"); the same in its versions 11 to 13.
using Handle = void*;
enum { kSuccess = 0 };
enum ComputeType { kCompute32F = 68 };
enum DataType { kReal32F = 0, kReal16F = 2, kReal16BF = 14 };
enum DescAttribute { kTransA = 3 };
enum PreferenceAttribute { kMaxWorkspaceBytes = 1 };
constexpr int32_t kTranspose = 1;
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

constexpr size_t kWorkspace = size_t{64} << 20;
constexpr int kMaxWays = 8;

std::vector<std::string> candidates() {
  std::vector<std::string> folders;
  if (const char* root = std::getenv("CUBLAS_ROOT"))
    for (const char* below : {"/", "/lib/", "/lib64/"}) folders.push_back(std::string(root) + below);
  folders.push_back("");  // the loader's path
  std::vector<std::string> patterns = {"/usr/local/cuda/lib64/", "/usr/local/cuda/targets/*/lib/"};
  for (const char* variable : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    if (const char* prefix = std::getenv(variable))
      patterns.push_back(std::string(prefix) + "/lib/python3*/site-packages/nvidia/*/lib/");
  if (const char* home = std::getenv("HOME"))
    patterns.push_back(std::string(home) + "/.local/lib/python3*/site-packages/nvidia/*/lib/");
  for (const char* prefix : {"/usr/local", "/usr"})
    for (const char* packages : {"site-packages", "dist-packages"})
      patterns.push_back(std::string(prefix) + "/lib/python3*/" + packages + "/nvidia/*/lib/");
  for (const std::string& pattern : patterns) {
    glob_t found{};
    if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
      for (size_t i = 0; i < found.gl_pathc; ++i) folders.push_back(found.gl_pathv[i]);
    globfree(&found);
  }
  std::vector<std::string> paths;
  for (const std::string& folder : folders)
    for (const char* file : {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"})
      paths.push_back(folder + file);
  return paths;
}

class CublasLt final : public LibraryMatmul {
 public:
  explicit CublasLt(void* library) : library_(library), workspace_(kWorkspace) {
    symbol(create_, "cublasLtCreate");
    symbol(destroy_, "cublasLtDestroy");
    symbol(version_, "cublasLtGetVersion");
    symbol(desc_create_, "cublasLtMatmulDescCreate");
    symbol(desc_destroy_, "cublasLtMatmulDescDestroy");
    symbol(desc_set_, "cublasLtMatmulDescSetAttribute");
    symbol(layout_create_, "cublasLtMatrixLayoutCreate");
    symbol(layout_destroy_, "cublasLtMatrixLayoutDestroy");
    symbol(preference_create_, "cublasLtMatmulPreferenceCreate");
    symbol(preference_destroy_, "cublasLtMatmulPreferenceDestroy");
    symbol(preference_set_, "cublasLtMatmulPreferenceSetAttribute");
    symbol(heuristic_, "cublasLtMatmulAlgoGetHeuristic");
    symbol(matmul_, "cublasLtMatmul");
    require(create_(&handle_), "cublasLtCreate");
    const size_t version = version_();
    const size_t major = version / 10000, minor = version / 100 % 100;
    name_ = "cuBLASLt " + std::to_string(major) + "." + std::to_string(minor);
  }
  ~CublasLt() override {
    forget();
    destroy_(handle_);
  }

  const std::string& name() const override { return name_; }

  // The library counts by columns: it makes out^T [n, m] of weight [k, n] transposed and x [k, m].
  int prepare(int m, int n, int k, Half half) override {
    forget();
    const int type = half == Half::BF16 ? kReal16BF : kReal16F;
    const auto rows = static_cast<uint64_t>(m), cols = static_cast<uint64_t>(n), inner = static_cast<uint64_t>(k);
    require(desc_create_(&desc_, kCompute32F, kReal32F), "cublasLtMatmulDescCreate");
    require(desc_set_(desc_, kTransA, &kTranspose, sizeof(kTranspose)), "cublasLtMatmulDescSetAttribute");
    require(layout_create_(&weight_, type, inner, cols, k), "cublasLtMatrixLayoutCreate");
    require(layout_create_(&x_, type, inner, rows, k), "cublasLtMatrixLayoutCreate");
    require(layout_create_(&out_, type, cols, rows, n), "cublasLtMatrixLayoutCreate");
    void* preference = nullptr;
    require(preference_create_(&preference), "cublasLtMatmulPreferenceCreate");
    require(preference_set_(preference, kMaxWorkspaceBytes, &kWorkspace, sizeof(kWorkspace)),
            "cublasLtMatmulPreferenceSetAttribute");
    int n_ways = 0;
    const int status = heuristic_(handle_, desc_, weight_, x_, out_, out_, preference, kMaxWays, ways_, &n_ways);
    preference_destroy_(preference);
    require(status, "cublasLtMatmulAlgoGetHeuristic");
    return n_ways;
  }

  void run(int way, void* out, const void* x, const void* weight, Stream& stream) override {
    const float one = 1, zero = 0;
    require(matmul_(handle_, desc_, &one, weight, weight_, x, x_, &zero, out, out_, out, out_, &ways_[way].algorithm,
                    workspace_.as<void>(), kWorkspace, stream.handle()),
            "cublasLtMatmul");
  }

 private:
  template <typename F>
  void symbol(F& function, const char* name) {
    function = reinterpret_cast<F>(dlsym(library_, name));
    check(function != nullptr, "The cuBLASLt that was found has no ", name, "; it should be of version 12 or 13.");
  }
  void require(int status, const char* call) const {
    check(status == kSuccess, call, " failed with status ", status, ".");
  }
  void forget() {
    if (desc_ == nullptr) return;
    for (void* layout : {weight_, x_, out_}) layout_destroy_(layout);
    desc_destroy_(desc_);
    desc_ = nullptr;
  }

  void* library_;
  std::string name_;
  Handle handle_ = nullptr;
  Buffer workspace_;
  void *desc_ = nullptr, *weight_ = nullptr, *x_ = nullptr, *out_ = nullptr;
  Heuristic ways_[kMaxWays];

  int (*create_)(Handle*);
  int (*destroy_)(Handle);
  size_t (*version_)();
  int (*desc_create_)(void**, int compute, int scale);
  int (*desc_destroy_)(void*);
  int (*desc_set_)(void*, int attribute, const void*, size_t);
  int (*layout_create_)(void**, int type, uint64_t rows, uint64_t cols, int64_t stride);
  int (*layout_destroy_)(void*);
  int (*preference_create_)(void**);
  int (*preference_destroy_)(void*);
  int (*preference_set_)(void*, int attribute, const void*, size_t);
  int (*heuristic_)(Handle, void* desc, void* a, void* b, void* c, void* d, void* preference, int wanted, Heuristic*,
                    int* n_found);
  int (*matmul_)(Handle, void* desc, const void* alpha, const void* a, void*, const void* b, void*, const void* beta,
                 const void* c, void*, void* d, void*, const Algorithm*, void* workspace, size_t, void* stream);
};

}  // namespace

std::unique_ptr<LibraryMatmul> LibraryMatmul::find() {
  for (const std::string& path : candidates())
    if (void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return std::make_unique<CublasLt>(library);
  return nullptr;
}

}  // namespace bench
