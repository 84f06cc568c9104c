#include "kernels/swiglu/swiglu_cuda.hpp"
#include "kernels/vectors.cuh"

// Shapes: N rows, F features. A block takes a piece of one row, a thread kUnroll vectors of it, all of whose loads are
// under way before the first is used. The formulas are derived in reference.cpp.

namespace tessera::kernels::swiglu {
namespace {

constexpr int kThreads = 128;
constexpr int kUnroll = 2;

/// bf16 keeps 8 bits, for which the fast exponential and division (2 and 1 units in fp32's last place, and 2^-23 x |x|
/// more in the exponent) are plenty; fp32 gets the exact ones.
template <class T>
__device__ __forceinline__ float sigmoid(float x) {
  if constexpr (sizeof(T) == 4) {
    return 1 / (1 + expf(-x));
  } else {
    return __fdividef(1, 1 + __expf(-x));
  }
}

struct Backward {
  float y;
  float dgate;
  float dup;
};

template <class T>
__device__ __forceinline__ float forward_element(float gate, float up) {
  return gate * sigmoid<T>(gate) * up;
}

template <class T>
__device__ __forceinline__ Backward backward_element(float dy, float gate, float up) {
  const float s = sigmoid<T>(gate);
  return {gate * s * up, dy * up * (s * (1 + gate * (1 - s))), dy * gate * s};
}

/// The thread's first vector and where the row's pieces begin.
struct Place {
  std::int64_t row;
  std::int64_t first;

  __device__ __forceinline__ Place()
      : row(blockIdx.y), first(static_cast<std::int64_t>(blockIdx.x) * kThreads * kUnroll + threadIdx.x) {}
};

template <class T>
__global__ void __launch_bounds__(kThreads) forward_kernel(ForwardArgs args, std::int64_t row_offset) {
  const Place place;
  const std::int64_t row = place.row + row_offset;
  const std::int64_t num_vectors = args.num_features / kVectorSize<T>;
  const T* const gate_row = static_cast<const T*>(args.gate_up_N2F) + row * 2 * args.num_features;
  const T* const up_row = gate_row + args.num_features;
  T* const y_row = static_cast<T*>(args.y_NF) + row * args.num_features;
  Vector<T> gate[kUnroll];
  Vector<T> up[kUnroll];
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    const std::int64_t index = place.first + u * kThreads;
    if (index < num_vectors) {
      gate[u] = load_vector(gate_row + index * kVectorSize<T>);
      up[u] = load_vector(up_row + index * kVectorSize<T>);
    }
  }
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    const std::int64_t index = place.first + u * kThreads;
    if (index < num_vectors) {
      float values[kVectorSize<T>];
#pragma unroll
      for (int i = 0; i < kVectorSize<T>; ++i) {
        values[i] = forward_element<T>(element(gate[u], i), element(up[u], i));
      }
      store_vector(y_row + index * kVectorSize<T>, pack<T>(values));
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) backward_kernel(BackwardArgs args, std::int64_t row_offset) {
  const Place place;
  const std::int64_t row = place.row + row_offset;
  const std::int64_t num_vectors = args.num_features / kVectorSize<T>;
  const std::int64_t packed = row * 2 * args.num_features;
  T* const gate_row = static_cast<T*>(args.gate_up_N2F) + packed;
  T* const up_row = gate_row + args.num_features;
  T* const dy_row = static_cast<T*>(args.dy_NF) + row * args.num_features;
  Vector<T> gate[kUnroll];
  Vector<T> up[kUnroll];
  Vector<T> dy[kUnroll];
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    const std::int64_t index = place.first + u * kThreads;
    if (index < num_vectors) {
      gate[u] = load_vector(gate_row + index * kVectorSize<T>);
      up[u] = load_vector(up_row + index * kVectorSize<T>);
      dy[u] = load_vector(dy_row + index * kVectorSize<T>);
    }
  }
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    const std::int64_t index = place.first + u * kThreads;
    if (index < num_vectors) {
      float y[kVectorSize<T>];
      float dgate[kVectorSize<T>];
      float dup[kVectorSize<T>];
#pragma unroll
      for (int i = 0; i < kVectorSize<T>; ++i) {
        const Backward made = backward_element<T>(element(dy[u], i), element(gate[u], i), element(up[u], i));
        y[i] = made.y;
        dgate[i] = made.dgate;
        dup[i] = made.dup;
      }
      store_vector(dy_row + index * kVectorSize<T>, pack<T>(y));
      store_vector(gate_row + index * kVectorSize<T>, pack<T>(dgate));
      store_vector(up_row + index * kVectorSize<T>, pack<T>(dup));
    }
  }
}

/// For rows that are no multiple of 16 bytes, or not aligned to them.
template <class T>
__global__ void __launch_bounds__(kThreads) forward_scalar_kernel(ForwardArgs args, std::int64_t row_offset) {
  const Place place;
  const std::int64_t row = place.row + row_offset;
  const T* const gate_row = static_cast<const T*>(args.gate_up_N2F) + row * 2 * args.num_features;
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    const std::int64_t i = place.first + u * kThreads;
    if (i < args.num_features) {
      static_cast<T*>(args.y_NF)[row * args.num_features + i] =
          from_float<T>(forward_element<T>(to_float(gate_row[i]), to_float(gate_row[args.num_features + i])));
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) backward_scalar_kernel(BackwardArgs args, std::int64_t row_offset) {
  const Place place;
  const std::int64_t row = place.row + row_offset;
  const std::int64_t packed = row * 2 * args.num_features;
  T* const gate_row = static_cast<T*>(args.gate_up_N2F) + packed;
  T* const dy_row = static_cast<T*>(args.dy_NF) + row * args.num_features;
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    const std::int64_t i = place.first + u * kThreads;
    if (i < args.num_features) {
      const Backward made =
          backward_element<T>(to_float(dy_row[i]), to_float(gate_row[i]), to_float(gate_row[args.num_features + i]));
      dy_row[i] = from_float<T>(made.y);
      gate_row[i] = from_float<T>(made.dgate);
      gate_row[args.num_features + i] = from_float<T>(made.dup);
    }
  }
}

/// Calls `launch(grid, row_offset)` for all rows, at most as many at a time as a grid has.
template <class Launch>
void for_row_grids(std::int64_t num_rows, std::int64_t items_per_row, const Launch& launch) {
  constexpr std::int64_t kMaxGridY = 65535;
  const std::int64_t per_block = kThreads * kUnroll;
  const auto pieces = static_cast<unsigned>((items_per_row + per_block - 1) / per_block);
  for (std::int64_t row = 0; row < num_rows && pieces > 0; row += kMaxGridY) {
    launch(dim3(pieces, static_cast<unsigned>(num_rows - row < kMaxGridY ? num_rows - row : kMaxGridY)), row);
  }
}

}  // namespace

void launch_forward(const ForwardArgs& args, core::DType dtype, cudaStream_t stream) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    if (args.num_features % kVectorSize<T> == 0 && are_aligned(16, args.gate_up_N2F, args.y_NF)) {
      for_row_grids(args.num_rows, args.num_features / kVectorSize<T>,
                    [&](dim3 grid, std::int64_t row) { forward_kernel<T><<<grid, kThreads, 0, stream>>>(args, row); });
    } else {
      for_row_grids(args.num_rows, args.num_features, [&](dim3 grid, std::int64_t row) {
        forward_scalar_kernel<T><<<grid, kThreads, 0, stream>>>(args, row);
      });
    }
  });
}

void launch_backward(const BackwardArgs& args, core::DType dtype, cudaStream_t stream) {
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    if (args.num_features % kVectorSize<T> == 0 && are_aligned(16, args.dy_NF, args.gate_up_N2F)) {
      for_row_grids(args.num_rows, args.num_features / kVectorSize<T>,
                    [&](dim3 grid, std::int64_t row) { backward_kernel<T><<<grid, kThreads, 0, stream>>>(args, row); });
    } else {
      for_row_grids(args.num_rows, args.num_features, [&](dim3 grid, std::int64_t row) {
        backward_scalar_kernel<T><<<grid, kThreads, 0, stream>>>(args, row);
      });
    }
  });
}

}  // namespace tessera::kernels::swiglu
