// One open file of weights, of whatever format.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend/quantised.h"
#include "backend/tensor.h"
#include "model/mapped_file.h"

namespace gattling {

// Its tensors stay valid while it lives.
class TensorFile {
 public:
  // `tensors` are views of `file`, by Hugging Face's names; `quantised` is what they point to.
  TensorFile(MappedFile file, std::vector<HostTensor> tensors,
             std::vector<std::unique_ptr<const Quantised>> quantised = {})
      : file_(std::move(file)), tensors_(std::move(tensors)), quantised_(std::move(quantised)) {}

  // Adds a view that is made of others of the same file, or of files that live as long; the index is that in tensors().
  size_t add(HostTensor tensor, std::unique_ptr<const Quantised> quantised) {
    tensors_.push_back(std::move(tensor));
    quantised_.push_back(std::move(quantised));
    return tensors_.size() - 1;
  }

  const std::string& path() const { return file_.path(); }
  const std::vector<HostTensor>& tensors() const { return tensors_; }
  void prefetch(const HostTensor& tensor) const { file_.prefetch({tensor.data, tensor.bytes()}); }
  void release(const HostTensor& tensor) const { file_.release({tensor.data, tensor.bytes()}); }

 private:
  MappedFile file_;
  std::vector<HostTensor> tensors_;
  std::vector<std::unique_ptr<const Quantised>> quantised_;
};

}  // namespace gattling
