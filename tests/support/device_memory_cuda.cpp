#include "support/device_memory.hpp"

#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace tessera::test {
namespace {

void check(cudaError_t status) {
  if (status != cudaSuccess) {
    throw std::runtime_error(cudaGetErrorString(status));
  }
}

}  // namespace

std::shared_ptr<void> allocate(std::size_t bytes, bool on_device) {
  if (!on_device) {
    return {std::malloc(bytes), std::free};
  }
  void* memory = nullptr;
  check(cudaMalloc(&memory, bytes));
  return {memory, cudaFree};
}

void copy(void* to, const void* from, std::size_t bytes, bool on_device) {
  if (on_device) {
    check(cudaDeviceSynchronize());
    check(cudaMemcpy(to, from, bytes, cudaMemcpyDefault));
  } else {
    std::memcpy(to, from, bytes);
  }
}

}  // namespace tessera::test
