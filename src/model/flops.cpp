#include "tessera/model/flops.hpp"

namespace tessera::model {

double forward_flops_per_image(const config::ModelShape& shape, const Geometry& geometry) {
  const auto tokens = static_cast<double>(geometry.num_tokens());
  const auto hidden = static_cast<double>(shape.hidden_size);
  const auto query = static_cast<double>(shape.query_size());
  const auto key = static_cast<double>(shape.key_size());
  const auto intermediate = static_cast<double>(shape.intermediate_size);
  // Of the last block the last token alone is wanted: there, keys and values are all that the others are needed for.
  const double keys = 2 * tokens * hidden * 2 * key;
  const double one_token = 2 * (2 * hidden * query + 3 * hidden * intermediate);
  const double block = keys + tokens * one_token + 2 * tokens * tokens * query;
  const double last_block = keys + one_token + 4 * tokens * query;
  const double patches = 2 * tokens * static_cast<double>(geometry.patch_elements()) * hidden;
  const double head = 2 * hidden * static_cast<double>(geometry.num_classes);
  return static_cast<double>(shape.num_hidden_layers - 1) * block + last_block + patches + head;
}

}  // namespace tessera::model
