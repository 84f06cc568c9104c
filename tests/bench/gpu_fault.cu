// A GPU that fails in mid-run, in any program:
//   CUDA_INJECTION64_PATH=build/bin/libgpu_fault.so GPU_FAULT_FILE=/tmp/fail PROGRAM ...
// Once that file is there, a kernel that traps runs in every CUDA context of the process: what is in flight ends, and
// each later call of CUDA there gives an error, as after a fault of the hardware. For tests/bench/multi_gpu.sh.
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

namespace {

__global__ void fail() { __trap(); }

void fail_when(const std::string& file) {
  while (!std::filesystem::exists(file)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  int devices = 0;
  cudaGetDeviceCount(&devices);
  for (int device = 0; device < devices; ++device) {
    unsigned int flags = 0;
    int active = 0;
    if (cuDevicePrimaryCtxGetState(device, &flags, &active) != CUDA_SUCCESS || active == 0) {
      continue;
    }
    cudaSetDevice(device);
    fail<<<1, 1>>>();
    std::fprintf(stderr, "gpu_fault: GPU %d of this process: %s\n", device,
                 cudaGetErrorString(cudaDeviceSynchronize()));
  }
}

}  // namespace

// The CUDA driver calls this in a process that initialises it.
extern "C" int InitializeInjection() {
  const char* const file = std::getenv("GPU_FAULT_FILE");
  if (file == nullptr) {
    return 0;
  }
  std::thread(fail_when, std::string(file)).detach();
  return 1;
}
