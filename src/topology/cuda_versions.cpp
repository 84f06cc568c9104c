#include "tessera/topology/cuda_versions.hpp"

#include <cuda_runtime_api.h>
#include <fmt/core.h>

#include <fstream>
#include <regex>

namespace tessera::topology {
namespace {

// 13000 -> "13.0"; empty for 0, which stands for none.
std::string to_text(int version) {
  return version == 0 ? "" : fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

// "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  ..."
std::string kernel_module() {
  std::ifstream file("/proc/driver/nvidia/version");
  std::string line;
  std::smatch found;
  std::getline(file, line);
  return std::regex_search(line, found, std::regex("[0-9]+\\.[0-9]+(\\.[0-9]+)?")) ? found.str() : "";
}

}  // namespace

CudaVersions cuda_versions() {
  int runtime = 0;
  int driver = 0;
  cudaRuntimeGetVersion(&runtime);  // both leave 0 where there is nothing to ask
  cudaDriverGetVersion(&driver);
  return {to_text(CUDART_VERSION), to_text(runtime), to_text(driver), kernel_module()};
}

}  // namespace tessera::topology
