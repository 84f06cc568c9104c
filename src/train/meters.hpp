#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <chrono>
#include <cstdint>
#include <string>

namespace tessera::train {

/// Seconds since construction or restart().
class Stopwatch {
 public:
  void restart() { start_ = Clock::now(); }
  [[nodiscard]] double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

/// Greatest device memory in use so far: on a GPU what the allocator handed out, on a CPU the process's resident set.
std::int64_t peak_memory_bytes(c10::Device device);

/// Memory that each of so many ranks that share it may count on, of what the GPU or the host has left.
std::int64_t usable_memory_bytes(c10::Device device, int num_sharing);

/// What MFU divides by.
struct PeakRate {
  double flops = 0;    ///< per second and rank
  std::string source;  ///< "NVIDIA H200, dense bf16, by its data sheet" or "measured, 1024 x 1024 matrix product"
};

/// The data sheet's rate for GPUs that are known here, else the rate of a matrix product timed now (0.1 s or so), from
/// which on peak_memory_bytes() counts anew.
PeakRate peak_rate(c10::Device device, at::ScalarType dtype, const std::string& gpu_name);

}  // namespace tessera::train
