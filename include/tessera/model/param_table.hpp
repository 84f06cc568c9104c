#pragma once

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
  double init_scale = 0;  ///< standard deviation, or half the width of the uniform interval

  [[nodiscard]] std::int64_t num_elements() const;
};

/// Parameters that lie side by side in memory because one matrix product computes them together (q, k and v; gate and
/// up), or a single parameter. The grain in which weights are gathered and gradients are reported ready.
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

}  // namespace tessera::model
