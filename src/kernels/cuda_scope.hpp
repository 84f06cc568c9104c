#pragma once

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <string_view>

namespace tessera::kernels {

/// Makes the tensor's GPU the current one while an op runs, and finds PyTorch's current stream on it, where it
/// enqueues. Throws core::Error where the tensor is not on a GPU.
class CudaScope {
 public:
  CudaScope(std::string_view op, const at::Tensor& tensor);

  [[nodiscard]] cudaStream_t stream() const { return stream_; }

  /// Throws core::Error where a launch since the last call was refused.
  void check_launch() const;

 private:
  std::string_view op_;
  c10::cuda::CUDAGuard guard_;
  cudaStream_t stream_;
};

}  // namespace tessera::kernels
