#include "engine/optimizer_state.hpp"

namespace tessera::engine {
namespace {

kernels::Moment zero_moment(config::StateDType dtype, std::int64_t size, const MakeZeros& zeros) {
  switch (dtype) {
    case config::StateDType::kFloat32:
      return zeros(size, at::kFloat);
    case config::StateDType::kBFloat16:
      return zeros(size, at::kBFloat16);
    case config::StateDType::k8Bit:
      break;
  }
  return {zeros(size, at::kByte), zeros(core::num_scale_blocks(size), at::kFloat)};
}

}  // namespace

std::vector<at::Tensor> OptimizerState::besides_weight() const {
  std::vector<at::Tensor> tensors;
  const auto add = [&tensors](const at::Tensor& tensor) {
    if (tensor.defined()) {
      tensors.push_back(tensor);
    }
  };
  add(parameter.low);
  add(average);
  for (const kernels::Moment& moment : moments) {
    add(moment.values);
    add(moment.scales);
  }
  return tensors;
}

OptimizerState make_state(const EngineOptions& options, std::int64_t size, const MakeZeros& zeros) {
  OptimizerState state;
  state.parameter.low = options.compute == at::kFloat ? at::Tensor() : zeros(size, at::kShort);
  state.average = options.averages() ? zeros(size, at::kFloat) : at::Tensor();
  for (std::int64_t moment = 0; moment < num_moments(options.optimizer.kind); ++moment) {
    state.moments.push_back(zero_moment(options.optimizer.state_dtype, size, zeros));
  }
  return state;
}

OptimizerState narrow(const OptimizerState& state, std::int64_t begin, std::int64_t size) {
  const auto part = [&](const at::Tensor& flat) { return flat.defined() ? flat.narrow(0, begin, size) : flat; };
  OptimizerState narrowed{{part(state.parameter.weight), part(state.parameter.low)}, part(state.average), {}};
  for (const kernels::Moment& moment : state.moments) {
    narrowed.moments.push_back(kernels::narrow(moment, begin, size));
  }
  return narrowed;
}

}  // namespace tessera::engine
