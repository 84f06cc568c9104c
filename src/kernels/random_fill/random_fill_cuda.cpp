#include "kernels/random_fill/random_fill_cuda.hpp"

#include "kernels/checks.hpp"
#include "kernels/cuda_scope.hpp"
#include "kernels/random_fill/arguments.hpp"
#include "tessera/kernels/random_fill.hpp"

#include <ATen/ATen.h>

namespace tessera::kernels::cuda {
namespace {

random_fill::FillArgs args_of(const at::Tensor& flat, const RandomStream& stream, const random_fill::Affine& affine) {
  return {.flat = flat.mutable_data_ptr(),
          .dtype = dtype_of(flat),
          .size = flat.numel(),
          .first_element = stream.first_element,
          .key = stream.key,
          .affine = affine};
}

}  // namespace

void fill_normal(at::Tensor& flat, const RandomStream& stream, double mean, double std) {
  const CudaScope scope("fill_normal", flat);
  random_fill::check(flat, stream);
  random_fill::launch_normal(args_of(flat, stream, random_fill::normal_affine(mean, std)), scope.stream());
  scope.check_launch();
}

void fill_uniform(at::Tensor& flat, const RandomStream& stream, double low, double high) {
  const CudaScope scope("fill_uniform", flat);
  random_fill::check(flat, stream);
  random_fill::launch_uniform(args_of(flat, stream, random_fill::uniform_affine(low, high, flat.scalar_type())),
                              scope.stream());
  scope.check_launch();
}

}  // namespace tessera::kernels::cuda
