#include "tessera/model/flops.hpp"

namespace tessera::model {

double forward_flops_per_image(const config::ModelShape& shape, const Geometry& geometry) {
  const auto tokens = static_cast<double>(geometry.num_tokens());
  const auto hidden = static_cast<double>(shape.hidden_size);
  const auto query = static_cast<double>(shape.query_size());
  const auto key = static_cast<double>(shape.key_size());
  const auto intermediate = static_cast<double>(shape.intermediate_size);
  const double block_weights = hidden * (query + 2 * key) + query * hidden + 3 * hidden * intermediate;
  const double attention = 2 * tokens * tokens * query;
  const double patches = 2 * tokens * static_cast<double>(geometry.patch_elements()) * hidden;
  const double head = 2 * hidden * static_cast<double>(geometry.num_classes);
  return static_cast<double>(shape.num_hidden_layers) * (2 * tokens * block_weights + attention) + patches + head;
}

}  // namespace tessera::model
