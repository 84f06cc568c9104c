#include "kernels/image_erase/image_erase_cuda.hpp"
#include "kernels/random_fill/random_element.hpp"
#include "kernels/vectors.cuh"

namespace tessera::kernels::image_erase {
namespace {

constexpr int kThreads = 256;
constexpr int kBlocksPerBox = 32;

__device__ bool covers(const ErasedBox& box, int y, int x) {
  return y >= box.top && y < box.top + box.height && x >= box.left && x < box.left + box.width;
}

/// Whether a later box of the same image has this pixel.
__device__ bool is_hidden(const EraseArgs& args, int index, int y, int x) {
  const int image = args.boxes[index].image;
  for (int later = index + 1; later < args.num_boxes && args.boxes[later].image == image; ++later) {
    if (covers(args.boxes[later], y, x)) {
      return true;
    }
  }
  return false;
}

/// A row of blocks fills a box, a thread every so many of its elements.
template <class T>
__global__ void __launch_bounds__(kThreads) erase_kernel(EraseArgs args) {
  const int index = static_cast<int>(blockIdx.y);
  const ErasedBox box = args.boxes[index];
  const int box_pixels = box.height * box.width;
  T* const image = static_cast<T*>(args.images) + std::int64_t{3} * box.image * args.height * args.width;
  for (int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x); i < 3 * box_pixels;
       i += kBlocksPerBox * kThreads) {
    const int channel = i / box_pixels;
    const int y = box.top + i % box_pixels / box.width;
    const int x = box.left + i % box_pixels % box.width;
    if (is_hidden(args, index, y, x)) {
      continue;
    }
    const std::int64_t element = (static_cast<std::int64_t>(channel) * args.height + y) * args.width + x;
    float value = box.color[channel];
    if (box.is_noise != 0) {
      value = static_cast<float>(random_fill::Normal::draw(box.key, element / 4).value[element % 4]);
    }
    image[element] = from_float<T>(value);
  }
}

}  // namespace

void launch(const EraseArgs& args, cudaStream_t stream) {
  if (args.num_boxes == 0) {
    return;
  }
  dispatch(args.dtype, [&](auto type) {
    using T = decltype(type);
    const dim3 grid(kBlocksPerBox, static_cast<unsigned>(args.num_boxes));
    erase_kernel<T><<<grid, kThreads, 0, stream>>>(args);
  });
}

}  // namespace tessera::kernels::image_erase
