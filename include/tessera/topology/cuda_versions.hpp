#pragma once

#include <string>

namespace tessera::topology {

/// Of CUDA: "13.0". Empty in a build without it.
struct CudaVersions {
  std::string compiled;     ///< the headers
  std::string runtime;      ///< the library that the program runs with
  std::string driver_cuda;  ///< the newest that the driver knows; empty: there is no driver
  std::string driver;       ///< of the kernel module: "580.95.05"; empty: there is none
};
CudaVersions cuda_versions();

}  // namespace tessera::topology
