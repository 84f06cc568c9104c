#include "kernels/cpu_ops.hpp"
#include "tessera/core/error.hpp"
#include "tessera/kernels/ops.hpp"

namespace tessera::kernels {
namespace {

constexpr Ops kCudaOps = {
    .linear_forward = cuda::linear_forward,
    .linear_input_gradient = cuda::linear_input_gradient,
    .linear_weight_gradient = cuda::linear_weight_gradient,
    .rms_norm_forward = cuda::rms_norm_forward,
    .rms_norm_backward = cuda::rms_norm_backward,
    .qk_norm_rope_forward = cuda::qk_norm_rope_forward,
    .qk_norm_rope_backward = cuda::qk_norm_rope_backward,
    .swiglu_forward = cuda::swiglu_forward,
    .swiglu_backward = cuda::swiglu_backward,
    .attention_forward = cuda::attention_forward,
    .attention_backward = cuda::attention_backward,
    .self_attention_forward = cuda::self_attention_forward,
    .self_attention_backward = cuda::self_attention_backward,
    .cross_entropy = reference::cross_entropy,
    .label_rank = reference::label_rank,
    .adamw_step = cuda::adamw_step,
    .momentum_step = cuda::momentum_step,
    .add_trust_sums = cuda::add_trust_sums,
    .update_average = cuda::update_average,
    .add_sum_of_squares = cuda::add_sum_of_squares,
    .accumulate = cuda::accumulate,
    .fill_normal = cuda::fill_normal,
    .fill_uniform = cuda::fill_uniform,
    .transform_images = cuda::transform_images,
    .erase_images = cuda::erase_images,
    .mix_images = reference::mix_images,
};

}  // namespace

const Ops& ops_for(c10::DeviceType device) {
  if (device == c10::DeviceType::CUDA) {
    return kCudaOps;
  }
  core::require(device == c10::DeviceType::CPU, "kernels", "there are no kernels for device {}",
                c10::DeviceTypeName(device, /*lower_case=*/true));
  return cpu_ops();
}

}  // namespace tessera::kernels
