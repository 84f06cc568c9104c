#include "tessera/core/error.hpp"
#include "tessera/core/units.hpp"
#include "tessera/topology/pinned_memory.hpp"
#include "topology/gpu.hpp"

#include <cuda_runtime_api.h>

#include <array>

namespace tessera::topology {
namespace {

// As nvidia-smi and CUDA_VISIBLE_DEVICES write it: GPU-8-4-4-4-12 hexadecimal digits.
std::string to_text(const cudaUUID_t& uuid) {
  std::string text = "GPU-";
  for (std::size_t i = 0; i < sizeof(uuid.bytes); ++i) {
    text += i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
    text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

std::string pci_of(int index) {
  std::array<char, 32> text{};
  const cudaError_t status = cudaDeviceGetPCIBusId(text.data(), static_cast<int>(text.size()), index);
  return status == cudaSuccess ? text.data() : "";
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
    gpus.push_back({index, properties.name, to_text(properties.uuid), pci_of(index),
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
    core::fail("topology",
               "{} of pinned host memory: {}; the node can pin less: ask for more memory, or use more nodes",
               core::format_bytes(static_cast<double>(bytes)), cudaGetErrorString(status));
  }
  return {static_cast<std::byte*>(memory), [](std::byte* pinned) { cudaFreeHost(pinned); }};
}

}  // namespace tessera::topology
