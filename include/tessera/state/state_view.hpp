#pragma once

#include "tessera/core/dtype.hpp"
#include "tessera/core/scale_blocks.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::state {

/// The quantities that a run keeps of every parameter. `name_of` gives the HDF5 data set's name.
enum class Component : std::uint8_t { kWeight, kMaster, kExpAvg, kExpAvgSq, kMomentumBuffer, kAverage };

constexpr const char* name_of(Component component) {
  switch (component) {
    case Component::kWeight:
      return "weight";
    case Component::kMaster:
      return "master";
    case Component::kExpAvg:
      return "exp_avg";
    case Component::kExpAvgSq:
      return "exp_avg_sq";
    case Component::kMomentumBuffer:
      return "momentum_buffer";
    case Component::kAverage:
      return "ema";
  }
  return "?";
}

/// Whether the optimizer may keep it in another type than fp32.
constexpr bool is_moment(Component component) {
  return component == Component::kExpAvg || component == Component::kExpAvgSq ||
         component == Component::kMomentumBuffer;
}

/// Whether a moment's elements may be negative.
constexpr bool is_signed(Component component) { return component != Component::kExpAvgSq; }

/// What one rank holds of one component of one parameter: a contiguous range of its elements in row-major order.
///
/// Plain data: `data` may point to device memory, and whoever reads or writes through it brings the means to copy.
/// Over all ranks the ranges of a component cover every element exactly once (an empty range is left out).
struct StateView {
  std::string parameter;  ///< "qwen.layers.0.self_attn.q_proj.weight"
  Component component = Component::kWeight;
  core::DType dtype = core::DType::kFloat32;
  std::vector<std::int64_t> global_shape;
  std::int64_t begin = 0;  ///< first element of mine, row-major over global_shape
  std::int64_t end = 0;    ///< one past the last
  void* data = nullptr;    ///< element `begin`
  /// Where an fp32 element is in two halves (core::SplitFloat): its lower ones; `data` then has the upper ones.
  void* low = nullptr;
  /// Where fp32 elements are kept in 8 bits (core::kScaleBlock), of which `begin` is the first of a block: the scales;
  /// `data` then has the codes, of the map that is_signed() says.
  void* scales = nullptr;

  [[nodiscard]] std::int64_t num_elements() const { return end - begin; }
  [[nodiscard]] std::int64_t num_scale_bytes() const {
    return scales == nullptr ? 0 : 4 * core::num_scale_blocks(num_elements());
  }
  /// Of memory.
  [[nodiscard]] std::int64_t num_bytes() const {
    const auto element_bytes = static_cast<std::int64_t>(scales == nullptr ? core::size_of(dtype) : 1);
    return num_elements() * element_bytes + num_scale_bytes();
  }
};

/// One component of one parameter as a whole: what a checkpoint must hold. Every rank has the same list.
struct TensorInfo {
  std::string parameter;
  Component component = Component::kWeight;
  core::DType dtype = core::DType::kFloat32;
  std::vector<std::int64_t> shape;
};

/// The state of a run as the checkpoint stores it: the same list of tensors on every rank, and this rank's pieces.
struct StateDescription {
  std::vector<TensorInfo> tensors;
  std::vector<StateView> mine;
};

}  // namespace tessera::state
