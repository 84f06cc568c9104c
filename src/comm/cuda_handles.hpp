#pragma once

#include "tessera/core/error.hpp"
#include "tessera/core/handle.hpp"
#include "tessera/core/stream.hpp"

#include <cuda_runtime_api.h>

#include <string>

namespace tessera::comm {

/// Throws Error with CUDA's own text unless `status` is cudaSuccess; clears the sticky error first.
inline void check_cuda(cudaError_t status, const char* what) {
  if (status != cudaSuccess) {
    cudaGetLastError();
    core::fail("comm", "{} failed: {}", what, cudaGetErrorString(status));
  }
}

/// What is wrong with `device` for this process, whoever ran into it; empty: nothing. For a thread that watches.
inline std::string cuda_error_of(int device) {
  cudaError_t status = cudaSetDevice(device);
  if (status == cudaSuccess) {
    status = cudaStreamQuery(cudaStreamLegacy);
  }
  return status == cudaSuccess || status == cudaErrorNotReady ? ""
                                                              : fmt::format("CUDA: {}", cudaGetErrorString(status));
}

inline void destroy_event(cudaEvent_t event) noexcept { cudaEventDestroy(event); }
inline void destroy_stream(cudaStream_t stream) noexcept { cudaStreamDestroy(stream); }
using Event = core::Handle<cudaEvent_t, destroy_event>;
using OwnedStream = core::Handle<cudaStream_t, destroy_stream>;

inline Event make_event() {
  cudaEvent_t event = nullptr;
  check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
  return Event(event);
}

/// Of the highest priority: what runs on it is waited for by everybody.
inline OwnedStream make_stream() {
  int least = 0;
  int greatest = 0;
  check_cuda(cudaDeviceGetStreamPriorityRange(&least, &greatest), "cudaDeviceGetStreamPriorityRange");
  cudaStream_t stream = nullptr;
  check_cuda(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, greatest), "cudaStreamCreate");
  return OwnedStream(stream);
}

inline cudaStream_t to_cuda(core::Stream stream) { return static_cast<cudaStream_t>(stream.handle); }

/// Work enqueued on `later` from now on runs after all that is on `earlier` now.
inline void order(cudaStream_t earlier, cudaStream_t later, const Event& event) {
  check_cuda(cudaEventRecord(event.get(), earlier), "cudaEventRecord");
  check_cuda(cudaStreamWaitEvent(later, event.get(), 0), "cudaStreamWaitEvent");
}

}  // namespace tessera::comm
