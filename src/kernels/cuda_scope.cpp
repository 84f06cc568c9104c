#include "kernels/cuda_scope.hpp"

#include "tessera/core/error.hpp"

#include <ATen/ATen.h>

#include <cuda_runtime_api.h>

namespace tessera::kernels {
namespace {

at::Device require_cuda(std::string_view op, const at::Tensor& tensor) {
  core::require(tensor.defined() && tensor.is_cuda(), "kernels", "{}: its tensors must be on a GPU, and are on {}", op,
                tensor.defined() ? tensor.device().str() : "no device");
  return tensor.device();
}

}  // namespace

CudaScope::CudaScope(std::string_view op, const at::Tensor& tensor)
    : op_(op), guard_(require_cuda(op, tensor)), stream_(c10::cuda::getCurrentCUDAStream().stream()) {}

void CudaScope::check_launch() const {
  if (const cudaError_t status = cudaGetLastError(); status != cudaSuccess) {
    core::fail("kernels", "{}: the kernel could not be launched: {}", op_, cudaGetErrorString(status));
  }
}

}  // namespace tessera::kernels
