#include "cuda/cublaslt.h"

#include <dlfcn.h>
#include <glob.h>

#include <algorithm>
#include <cstdlib>

#include "backend/error.h"

namespace gattling::cuda {
namespace {

// Of cublasLt.h (cuBLAS documentation, "cublasLt Datatypes Reference"); the same in its versions 11 to 13.
using Handle = void*;
enum Status { kSuccess = 0, kNotSupported = 15 };
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

struct Api {
  int (*create)(Handle*);
  int (*destroy)(Handle);
  size_t (*version)();
  int (*desc_create)(void**, int compute, int scale);
  int (*desc_destroy)(void*);
  int (*desc_set)(void*, int attribute, const void*, size_t);
  int (*layout_create)(void**, int type, uint64_t rows, uint64_t cols, int64_t stride);
  int (*layout_destroy)(void*);
  int (*preference_create)(void**);
  int (*preference_destroy)(void*);
  int (*preference_set)(void*, int attribute, const void*, size_t);
  int (*heuristic)(Handle, void* desc, void* a, void* b, void* c, void* d, void* preference, int wanted, Heuristic*,
                   int* n_found);
  int (*matmul)(Handle, void* desc, const void* alpha, const void* a, void*, const void* b, void*, const void* beta,
                const void* c, void*, void* d, void*, const Algorithm*, void* workspace, size_t, void* stream);
};

// As NVIDIA recommends for Hopper (cuBLAS documentation, "cublasSetWorkspace"), and twice that.
constexpr size_t kWorkspace = size_t{64} << 20;

void require(int status, const char* call) {
  check(status == kSuccess, call, " failed with status ", status, ".");
}

// What the library creates and destroys.
class Owned {
 public:
  explicit Owned(int (*destroy)(void*)) : destroy_(destroy) {}
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() {
    if (object_ != nullptr) destroy_(object_);
  }
  void** out() { return &object_; }
  void* get() const { return object_; }

 private:
  int (*destroy_)(void*);
  void* object_ = nullptr;
};

struct Library {
  Api api;
  Handle handle = nullptr;
  Buffer workspace;

  ~Library() {
    if (handle != nullptr) api.destroy(handle);
  }
};

class PreparedMatmul final : public CublasLt::Matmul {
 public:
  // The library counts by columns: it makes out^T [n, rows] of weight [k, n] transposed and x [k, rows].
  PreparedMatmul(const Library& library, const MatmulShape& shape, int max_ways)
      : library_(library),
        desc_(library.api.desc_destroy),
        weight_(library.api.layout_destroy),
        x_(library.api.layout_destroy),
        out_(library.api.layout_destroy) {
    const Api& api = library.api;
    const int in = shape.half == Half::BF16 ? kReal16BF : kReal16F, out = shape.out_fp32 ? int{kReal32F} : in;
    require(api.desc_create(desc_.out(), kCompute32F, kReal32F), "cublasLtMatmulDescCreate");
    require(api.desc_set(desc_.get(), kTransA, &kTranspose, sizeof(kTranspose)), "cublasLtMatmulDescSetAttribute");
    describe(weight_, in, shape.k, shape.n, shape.weight_stride);
    describe(x_, in, shape.k, shape.rows, shape.x_stride);
    describe(out_, out, shape.n, shape.rows, shape.out_stride);
    find_ways(max_ways);
  }

  int n_ways() const override { return static_cast<int>(ways_.size()); }

  void run(int way, void* out, const void* x, const void* weight, Stream& stream) const override {
    stream.enqueue([this, way, out, x, weight, handle = stream.handle()] {
      const float one = 1, zero = 0;
      require(library_.api.matmul(library_.handle, desc_.get(), &one, weight, weight_.get(), x, x_.get(), &zero, out,
                                  out_.get(), out, out_.get(), &ways_[static_cast<size_t>(way)].algorithm,
                                  library_.workspace.as<void>(), kWorkspace, handle),
              "cublasLtMatmul");
    });
  }

 private:
  void describe(Owned& layout, int type, int rows, int cols, int stride) const {
    require(library_.api.layout_create(layout.out(), type, static_cast<uint64_t>(rows), static_cast<uint64_t>(cols),
                                       stride),
            "cublasLtMatrixLayoutCreate");
  }

  void find_ways(int max_ways) {
    const Api& api = library_.api;
    Owned preference(api.preference_destroy);
    require(api.preference_create(preference.out()), "cublasLtMatmulPreferenceCreate");
    require(api.preference_set(preference.get(), kMaxWorkspaceBytes, &kWorkspace, sizeof(kWorkspace)),
            "cublasLtMatmulPreferenceSetAttribute");
    ways_.resize(static_cast<size_t>(max_ways));
    int n_found = 0;
    const int status = api.heuristic(library_.handle, desc_.get(), weight_.get(), x_.get(), out_.get(), out_.get(),
                                     preference.get(), max_ways, ways_.data(), &n_found);
    // Without any our own kernels multiply.
    ways_.resize(status == kSuccess ? static_cast<size_t>(std::clamp(n_found, 0, max_ways)) : 0);
    std::erase_if(ways_, [](const Heuristic& way) { return way.state != kSuccess; });
  }

  const Library& library_;
  Owned desc_, weight_, x_, out_;
  std::vector<Heuristic> ways_;
};

class LoadedCublasLt final : public CublasLt {
 public:
  explicit LoadedCublasLt(void* file) {
    Api& api = library_.api;
    const auto symbol = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(file, name));
      check(function != nullptr, "it has no ", name);
    };
    symbol(api.create, "cublasLtCreate");
    symbol(api.destroy, "cublasLtDestroy");
    symbol(api.version, "cublasLtGetVersion");
    symbol(api.desc_create, "cublasLtMatmulDescCreate");
    symbol(api.desc_destroy, "cublasLtMatmulDescDestroy");
    symbol(api.desc_set, "cublasLtMatmulDescSetAttribute");
    symbol(api.layout_create, "cublasLtMatrixLayoutCreate");
    symbol(api.layout_destroy, "cublasLtMatrixLayoutDestroy");
    symbol(api.preference_create, "cublasLtMatmulPreferenceCreate");
    symbol(api.preference_destroy, "cublasLtMatmulPreferenceDestroy");
    symbol(api.preference_set, "cublasLtMatmulPreferenceSetAttribute");
    symbol(api.heuristic, "cublasLtMatmulAlgoGetHeuristic");
    symbol(api.matmul, "cublasLtMatmul");
    require(api.create(&library_.handle), "cublasLtCreate");
    library_.workspace = Buffer(kWorkspace);
    const size_t version = api.version();
    name_ = concat("cuBLASLt ", version / 10000, ".", version / 100 % 100);
  }

  const std::string& name() const override { return name_; }
  std::unique_ptr<Matmul> prepare(const MatmulShape& shape, int max_ways) override {
    return std::make_unique<PreparedMatmul>(library_, shape, max_ways);
  }

 private:
  Library library_{};
  std::string name_;
};

// Folders, each with its last slash; "" is the loader's path.
std::vector<std::string> folders() {
  if (const char* root = std::getenv("CUBLAS_ROOT"))
    return {concat(root, "/"), concat(root, "/lib/"), concat(root, "/lib64/")};
  std::vector<std::string> patterns = {"/usr/local/cuda/lib64/", "/usr/local/cuda/targets/*/lib/"};
  for (const char* variable : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    if (const char* prefix = std::getenv(variable))
      patterns.push_back(concat(prefix, "/lib/python3*/site-packages/nvidia/*/lib/"));
  if (const char* home = std::getenv("HOME"))
    patterns.push_back(concat(home, "/.local/lib/python3*/site-packages/nvidia/*/lib/"));
  for (const char* prefix : {"/usr/local", "/usr"})
    for (const char* packages : {"site-packages", "dist-packages"})
      patterns.push_back(concat(prefix, "/lib/python3*/", packages, "/nvidia/*/lib/"));
  std::vector<std::string> found = {""};
  for (const std::string& pattern : patterns) {
    glob_t matches{};
    if (glob(pattern.c_str(), 0, nullptr, &matches) == 0)
      found.insert(found.end(), matches.gl_pathv, matches.gl_pathv + matches.gl_pathc);
    globfree(&matches);
  }
  return found;
}

}  // namespace

// A library that was opened stays so: its threads and the driver's may outlive the engine.
std::unique_ptr<CublasLt> CublasLt::find() {
  std::string why;
  for (const std::string& folder : folders())
    for (const char* file : {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"}) {
      void* library = dlopen((folder + file).c_str(), RTLD_NOW | RTLD_LOCAL);
      if (library == nullptr) continue;
      try {
        return std::make_unique<LoadedCublasLt>(library);
      } catch (const Error& error) {
        why = concat(folder, file, " cannot be used: ", error.what());
        dlclose(library);
      }
    }
  const char* root = std::getenv("CUBLAS_ROOT");
  check(root == nullptr, "CUBLAS_ROOT is ", root ? root : "", ", and ",
        why.empty() ? "there is no libcublasLt.so, .so.12 or .so.13 in it, its lib or lib64" : why,
        "; name the folder of cuBLAS 12 or 13, or unset it.");
  return nullptr;
}

}  // namespace gattling::cuda
