#pragma once

#include "tessera/engine/train_step.hpp"
#include "tessera/model/param_table.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/sin.h>

#include <cstdint>

// A model that trains in milliseconds, and images to train it on.

namespace tessera::test {

/// 20 x 20 pixels in patches of 4: 25 tokens; 7 classes.
inline const model::Geometry kSmallGeometry{20, 4, 7};

inline config::ModelShape small_shape() {
  config::ModelShape shape;
  shape.hidden_size = 32;
  shape.intermediate_size = 48;
  shape.num_hidden_layers = 3;
  shape.num_attention_heads = 4;
  shape.num_key_value_heads = 2;
  shape.head_dim = 8;
  shape.initializer_range = 0.1;
  return shape;
}

/// Images `first` to `first + count` of an endless set, in fp64: image i is of class i mod 7, which sets the waves'
/// length.
inline engine::MicroBatch wave_batch(std::int64_t first, std::int64_t count) {
  const at::Tensor index = at::arange(first, first + count);
  const at::Tensor image = index.view({-1, 1, 1, 1}).to(at::kDouble);
  const at::Tensor pixel = at::arange(3 * 20 * 20).view({1, 3, 20, 20}).to(at::kDouble);
  return {at::sin(image * 1.7 + pixel * (0.1 + 0.01 * image.remainder(7))), index.remainder(7)};
}

}  // namespace tessera::test
