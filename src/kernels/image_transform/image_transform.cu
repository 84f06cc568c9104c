#include "kernels/image_transform/launch.hpp"
#include "kernels/image_transform/resample_taps.hpp"

#include <cuda_bf16.h>

// A block makes a tile of kTile x kTile output pixels of one image. Horizontal pass: the source rows that the tile's
// taps reach, from global memory into bytes in shared memory. Vertical pass: from there to the output. What the rows
// and the taps' weights take depends on how much the image shrinks, which the host does not know; so a block divides
// its tile into pieces that fit. In both passes a lane is an output column and a warp takes every kWarps-th row.
// Compiled with --fmad=false: the weights are those of the CPU and of Pillow to the last bit.

namespace tessera::kernels::image_transform {
namespace {

constexpr int kTile = 32;
constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kTableBytes = 3 * 256 * static_cast<int>(sizeof(float));
constexpr int kPieceBytes = 48 * 1024 - kTableBytes;  // with the table, what every GPU grants without being asked

/// Columns and rows of a tile that are made at a time, and where what they need lies in shared memory.
struct Piece {
  int columns;
  int rows;
};

/// One axis of a piece in shared memory.
struct TapsInShared {
  Taps* taps;
  std::int32_t* weights;
  int stride;  ///< of weights, odd: lanes that each read their own column's do not collide
};

__device__ int piece_bytes(const Piece& piece, const Axis& x_axis, const Axis& y_axis, int channels) {
  const int tap_bytes = piece.columns * (static_cast<int>(sizeof(Taps)) + 4 * x_axis.max_taps()) +
                        piece.rows * (static_cast<int>(sizeof(Taps)) + 4 * y_axis.max_taps());
  const int source_rows = static_cast<int>(ceil((piece.rows - 1) * y_axis.scale)) + y_axis.max_taps();
  return tap_bytes + source_rows * piece.columns * channels;
}

/// The greatest piece, of sides halved from the tile's, that fits. kMaxReduction sees to it that one pixel always does.
__device__ Piece choose_piece(const Axis& x_axis, const Axis& y_axis, int channels) {
  static_assert((2 * (4 * kMaxReduction + 3) * 4 + 2 * static_cast<int>(sizeof(Taps))) + (4 * kMaxReduction + 3) * 3 <=
                kPieceBytes);
  Piece piece{kTile, kTile};
  while (piece.columns > 1 && piece_bytes(piece, x_axis, y_axis, channels) > kPieceBytes) {
    if (piece.columns > piece.rows) {
      piece.columns /= 2;
    } else {
      piece.rows /= 2;
    }
  }
  return piece;
}

__device__ void fill_taps(const Axis& axis, int begin, int count, int thread, const TapsInShared& target) {
  for (int i = thread; i >= 0 && i < count; i += kThreads) {
    target.taps[i] = make_taps(axis, begin + i, target.weights + i * target.stride);
  }
}

/// What both passes know of an image.
struct Source {
  const std::uint8_t* box;  ///< the first byte of the box that is resized
  std::int64_t row_stride;
  std::int64_t pixel_stride;
  std::int64_t channel_stride;
  int channels;
};

__device__ Source make_source(const std::uint8_t* packed, const ImageView& view) {
  Source source{};
  source.channels = view.channels;
  source.pixel_stride = view.planar != 0 ? 1 : view.channels;
  source.row_stride = view.width * source.pixel_stride;
  source.channel_stride = view.planar != 0 ? static_cast<std::int64_t>(view.height) * view.width : 1;
  source.box = packed + view.offset + view.crop_top * source.row_stride + view.crop_left * source.pixel_stride;
  return source;
}

/// middle[channel][row][column] of the rows from `first_row` on.
__device__ void horizontal_pass(const Source& source, const TapsInShared& x_taps, int first_row, int num_rows,
                                int num_columns, std::uint8_t* middle) {
  const int column = static_cast<int>(threadIdx.x) % 32;
  if (column >= num_columns) {
    return;
  }
  const Taps taps = x_taps.taps[column];
  const std::int32_t* weights = x_taps.weights + column * x_taps.stride;
  for (int row = static_cast<int>(threadIdx.x) / 32; row < num_rows; row += kWarps) {
    const std::uint8_t* pixel = source.box + (first_row + row) * source.row_stride + taps.first * source.pixel_stride;
    std::int32_t sums[3] = {kHalf, kHalf, kHalf};
    for (int tap = 0; tap < taps.count; ++tap, pixel += source.pixel_stride) {
#pragma unroll
      for (int channel = 0; channel < 3; ++channel) {
        if (channel < source.channels) {
          sums[channel] += weights[tap] * pixel[channel * source.channel_stride];
        }
      }
    }
#pragma unroll
    for (int channel = 0; channel < 3; ++channel) {
      if (channel < source.channels) {
        middle[(channel * num_rows + row) * num_columns + column] = static_cast<std::uint8_t>(to_byte(sums[channel]));
      }
    }
  }
}

__device__ void store(float* target, float value) { *target = value; }
__device__ void store(__nv_bfloat16* target, float value) { *target = __float2bfloat16_rn(value); }

/// Where a piece's pixels go: `out` is the image's first byte, (x, y) the piece's first pixel in it.
template <class T>
struct Target {
  T* out;
  int size;
  int x;
  int y;
  bool flip;
};

template <class T>
__device__ void vertical_pass(const std::uint8_t* middle, const TapsInShared& y_taps, int num_source_rows, int channels,
                              const Piece& piece, const float (&table)[3][256], const Target<T>& target) {
  const int column = static_cast<int>(threadIdx.x) % 32;
  if (column >= piece.columns) {
    return;
  }
  const int first_row = y_taps.taps[0].first;
  const int x = target.flip ? target.size - 1 - (target.x + column) : target.x + column;
  for (int row = static_cast<int>(threadIdx.x) / 32; row < piece.rows; row += kWarps) {
    const Taps taps = y_taps.taps[row];
    const std::int32_t* weights = y_taps.weights + row * y_taps.stride;
    std::int32_t byte = 0;
#pragma unroll
    for (int channel = 0; channel < 3; ++channel) {
      if (channel < channels) {
        const std::uint8_t* pixel =
            middle + (channel * num_source_rows + taps.first - first_row) * piece.columns + column;
        std::int32_t sum = kHalf;
        for (int tap = 0; tap < taps.count; ++tap) {
          sum += weights[tap] * pixel[tap * piece.columns];
        }
        byte = to_byte(sum);
      }
      const std::int64_t line = static_cast<std::int64_t>(channel) * target.size + target.y + row;
      store(target.out + line * target.size + x, table[channel][byte]);
    }
  }
}

/// (byte / 255 - mean) / std of every byte, each operation rounded as the CPU rounds it.
__device__ void fill_table(const Launch& arguments, float (&table)[3][256]) {
  for (int byte = static_cast<int>(threadIdx.x); byte < 256; byte += kThreads) {
#pragma unroll
    for (int channel = 0; channel < 3; ++channel) {
      const float unit = __fdiv_rn(static_cast<float>(byte), 255.0F);
      table[channel][byte] = __fdiv_rn(__fsub_rn(unit, arguments.mean[channel]), arguments.std[channel]);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) transform_kernel(const __grid_constant__ Launch arguments) {
  __shared__ float table[3][256];
  extern __shared__ std::int32_t piece_memory[];
  fill_table(arguments, table);

  const ImageView view = arguments.views[blockIdx.z];
  const Source source = make_source(arguments.packed, view);
  const Axis x_axis = make_axis(view.crop_width, view.resized_width);
  const Axis y_axis = make_axis(view.crop_height, view.resized_height);
  const int size = arguments.output_size;
  const int tile_x = static_cast<int>(blockIdx.x) * kTile;
  const int tile_y = static_cast<int>(blockIdx.y) * kTile;
  const int end_x = min(tile_x + kTile, size);
  const int end_y = min(tile_y + kTile, size);
  T* const out = static_cast<T*>(arguments.out) + static_cast<std::int64_t>(blockIdx.z) * 3 * size * size;

  const Piece most = choose_piece(x_axis, y_axis, view.channels);
  const int thread = static_cast<int>(threadIdx.x);
  for (int y = tile_y; y < end_y; y += most.rows) {
    for (int x = tile_x; x < end_x; x += most.columns) {
      const Piece piece{min(most.columns, end_x - x), min(most.rows, end_y - y)};
      auto* const all_taps = reinterpret_cast<Taps*>(piece_memory);
      auto* const all_weights = reinterpret_cast<std::int32_t*>(all_taps + piece.columns + piece.rows);
      const TapsInShared x_taps{all_taps, all_weights, x_axis.max_taps()};
      const TapsInShared y_taps{all_taps + piece.columns, all_weights + piece.columns * x_axis.max_taps(),
                                y_axis.max_taps()};
      auto* const middle = reinterpret_cast<std::uint8_t*>(y_taps.weights + piece.rows * y_axis.max_taps());

      __syncthreads();  // the piece before has been read
      fill_taps(x_axis, view.window_left + x, piece.columns, thread, x_taps);
      // Other warps than those that had a column.
      fill_taps(y_axis, view.window_top + y, piece.rows, thread - kTile, y_taps);
      __syncthreads();
      const int first_row = y_taps.taps[0].first;
      const Taps last = y_taps.taps[piece.rows - 1];
      const int num_source_rows = last.first + last.count - first_row;
      horizontal_pass(source, x_taps, first_row, num_source_rows, piece.columns, middle);
      __syncthreads();
      vertical_pass(middle, y_taps, num_source_rows, source.channels, piece, table,
                    Target<T>{out, size, x, y, view.flip != 0});
    }
  }
}

}  // namespace

cudaError_t launch(const Launch& arguments, cudaStream_t stream) {
  const auto tiles = static_cast<unsigned>((arguments.output_size + kTile - 1) / kTile);
  const dim3 grid(tiles, tiles, static_cast<unsigned>(arguments.num_images));
  if (arguments.dtype == core::DType::kBFloat16) {
    transform_kernel<__nv_bfloat16><<<grid, kThreads, kPieceBytes, stream>>>(arguments);
  } else {
    transform_kernel<float><<<grid, kThreads, kPieceBytes, stream>>>(arguments);
  }
  return cudaGetLastError();
}

}  // namespace tessera::kernels::image_transform
