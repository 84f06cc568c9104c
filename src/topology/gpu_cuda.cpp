#include "tessera/core/error.hpp"
#include "tessera/core/units.hpp"
#include "tessera/topology/pinned_memory.hpp"
#include "topology/gpu.hpp"

#include <cuda_runtime_api.h>

namespace tessera::topology {
namespace {

std::string to_text(const cudaUUID_t& uuid) {
  std::string text;
  for (const char byte : uuid.bytes) {
    text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  return text;
}

}  // namespace

std::vector<Gpu> visible_gpus() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();  // no driver or no device: not an error of ours, and it must not stick
    return {};
  }
  std::vector<Gpu> gpus;
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties{};
    if (const cudaError_t status = cudaGetDeviceProperties(&properties, index); status != cudaSuccess) {
      core::fail("topology", "GPU {} of {}: {}", index, count, cudaGetErrorString(status));
    }
    gpus.push_back({index, properties.name, to_text(properties.uuid),
                    static_cast<std::int64_t>(properties.totalGlobalMem), properties.multiProcessorCount});
  }
  return gpus;
}

void make_current(const Gpu& gpu) {
  if (const cudaError_t status = cudaSetDevice(gpu.index); status != cudaSuccess) {
    core::fail("topology", "GPU {} ({}) cannot be used: {}", gpu.index, gpu.name, cudaGetErrorString(status));
  }
}

std::shared_ptr<std::byte> pinned_memory(std::size_t bytes) {
  void* memory = nullptr;
  // Portable: pinned for every device, whichever is current where it is used.
  if (const cudaError_t status = cudaHostAlloc(&memory, bytes, cudaHostAllocPortable); status != cudaSuccess) {
    cudaGetLastError();
    core::fail("topology", "{} of pinned host memory: {}", core::format_bytes(static_cast<double>(bytes)),
               cudaGetErrorString(status));
  }
  return {static_cast<std::byte*>(memory), [](std::byte* pinned) { cudaFreeHost(pinned); }};
}

}  // namespace tessera::topology
