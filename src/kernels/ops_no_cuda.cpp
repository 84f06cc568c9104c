#include "kernels/cpu_ops.hpp"
#include "tessera/core/error.hpp"
#include "tessera/kernels/ops.hpp"

namespace tessera::kernels {

const Ops& ops_for(c10::DeviceType device) {
  core::require(device != c10::DeviceType::CUDA, "kernels",
                "this build has no CUDA: configure with -DTESSERA_CUDA=ON, or run with --device cpu");
  core::require(device == c10::DeviceType::CPU, "kernels", "there are no kernels for device {}",
                c10::DeviceTypeName(device, /*lower_case=*/true));
  return cpu_ops();
}

}  // namespace tessera::kernels
