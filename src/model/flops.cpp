#include "tessera/model/flops.hpp"

#include <algorithm>
#include <cstdint>

namespace tessera::model {
namespace {

struct ForwardFlops {
  double patches = 0;
  double block = 0;
  double last_block = 0;
  double head = 0;

  // Patch embedding and the first blocks.
  [[nodiscard]] double of_beginning(std::int64_t num_blocks, std::int64_t of_blocks) const {
    const auto whole = static_cast<double>(std::min(num_blocks, of_blocks - 1));
    return patches + whole * block + (num_blocks == of_blocks ? last_block : 0);
  }
};

ForwardFlops forward_flops(const config::ModelShape& shape, const Geometry& geometry) {
  const auto tokens = static_cast<double>(geometry.num_tokens());
  const auto hidden = static_cast<double>(shape.hidden_size);
  const auto query = static_cast<double>(shape.query_size());
  const auto key = static_cast<double>(shape.key_size());
  const auto intermediate = static_cast<double>(shape.intermediate_size);
  // Of the last block one token alone is wanted, unless the head reads all: there, keys and values are all that the
  // others are needed for.
  const double keys = 2 * tokens * hidden * 2 * key;
  const double one_token = 2 * (2 * hidden * query + 3 * hidden * intermediate);
  ForwardFlops flops;
  flops.block = keys + tokens * one_token + 2 * tokens * tokens * query;
  flops.last_block = geometry.pooling == config::Pooling::kMean ? flops.block : keys + one_token + 4 * tokens * query;
  flops.patches =
      2 * static_cast<double>(geometry.num_patches()) * static_cast<double>(geometry.patch_elements()) * hidden;
  flops.head = 2 * hidden * static_cast<double>(geometry.num_classes);
  return flops;
}

}  // namespace

double forward_flops_per_image(const config::ModelShape& shape, const Geometry& geometry) {
  const ForwardFlops flops = forward_flops(shape, geometry);
  return flops.of_beginning(shape.num_hidden_layers, shape.num_hidden_layers) + flops.head;
}

double training_flops_per_image(const config::ModelShape& shape, const Geometry& geometry, std::int64_t frozen_blocks) {
  const double frozen =
      frozen_blocks == 0 ? 0 : forward_flops(shape, geometry).of_beginning(frozen_blocks, shape.num_hidden_layers);
  return 3 * forward_flops_per_image(shape, geometry) - 2 * frozen;
}

}  // namespace tessera::model
