#pragma once

#include "tessera/config/model_shape.hpp"
#include "tessera/config/pooling.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::model {

enum class Init : std::uint8_t { kNormal, kOnes, kZeros, kUniform };

/// One trained parameter. Its name is its name in checkpoints and consolidated files.
struct Param {
  std::string name;
  std::vector<std::int64_t> shape;
  int unit = 0;        ///< index of the Unit that it is part of
  bool decays = true;  ///< weight decay applies (matrices; not norms and biases)
  int depth = 0;       ///< 0 patch embedding, 1..L blocks, L+1 final norm and head: layer-wise learning rates
  Init init = Init::kNormal;
  double init_scale = 0;  ///< standard deviation, or half the width of the uniform interval around 0

  [[nodiscard]] std::int64_t num_elements() const;
};

/// Parameters that lie side by side in memory because one matrix product computes them together (q, k and v; gate and
/// up), or vectors of one step (the patches' bias and the class token), or a single parameter. The grain in which
/// weights are gathered and gradients are reported ready.
struct Unit {
  int first_param = 0;
  int num_params = 1;
  std::int64_t num_elements = 0;
  std::int64_t num_columns = 0;  ///< of the whole unit as a matrix; 0: a vector
};

/// Everything that is trained, in the order of the forward pass. Knows no ranks.
struct ParamTable {
  std::vector<Param> params;
  std::vector<Unit> units;

  [[nodiscard]] std::int64_t num_elements() const;
};

/// The units before `unit`, and those from it on, each numbered from 0.
struct SplitTable {
  ParamTable before;
  ParamTable rest;
};
SplitTable split_table(const ParamTable& table, int unit);

/// What the images and classes add to the backbone's shape.
struct Geometry {
  std::int64_t input_size = 224;  ///< pixels, square
  std::int64_t patch_size = 16;   ///< pixels, square; divides input_size
  std::int64_t num_classes = 0;
  config::Pooling pooling = config::Pooling::kLastToken;

  [[nodiscard]] bool has_class_token() const { return pooling == config::Pooling::kClassToken; }
  [[nodiscard]] std::int64_t num_patches() const { return (input_size / patch_size) * (input_size / patch_size); }
  [[nodiscard]] std::int64_t num_tokens() const { return num_patches() + (has_class_token() ? 1 : 0); }
  [[nodiscard]] std::int64_t patch_elements() const { return 3 * patch_size * patch_size; }
};

/// The parameters of the image classifier: patch embedding, class token if any, Qwen3 blocks, final norm, linear head.
/// The backbone's token embedding is not among them: images never meet it.
ParamTable build_param_table(const config::ModelShape& shape, const Geometry& geometry);

/// Unit indices of the table above.
struct BlockUnits {
  int qkv = 0;
  int input_norm = 0;
  int q_norm = 0;
  int k_norm = 0;
  int o_proj = 0;
  int gate_up = 0;
  int post_norm = 0;
  int down = 0;
};
constexpr int kPatchWeightUnit = 0;
constexpr int kPatchBiasUnit = 1;  ///< and the class token behind it, if there is one
BlockUnits block_units(std::int64_t block);
/// Units that are not trained where the first `frozen_blocks` blocks are not: theirs, and the patch embedding's. None
/// where that is 0.
int num_frozen_units(std::int64_t frozen_blocks);
struct HeadUnits {
  int norm = 0;
  int weight = 0;
  int bias = 0;
};
HeadUnits head_units(std::int64_t num_blocks);

}  // namespace tessera::model
