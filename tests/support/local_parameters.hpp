#pragma once

#include "tessera/engine/engine.hpp"
#include "tessera/model/param_table.hpp"
#include "tessera/model/parameter_access.hpp"

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

namespace tessera::test {

/// Whole parameters and gradients in plain tensors, a unit each: what a model's test needs instead of the engine.
class LocalParameters final : public model::Weights, public model::Gradients {
 public:
  LocalParameters(const model::ParamTable& table, c10::Device device, at::ScalarType dtype);

  at::Tensor weight(int unit) override;
  kernels::GradientTarget target(int unit) override;
  void ready(int unit) override;

  /// A parameter's view of its unit, in its own shape.
  [[nodiscard]] at::Tensor param(const std::string& name) const;
  [[nodiscard]] at::Tensor gradient(const std::string& name) const;

  bool accumulate = false;
  std::vector<int> ready_order;

 private:
  [[nodiscard]] at::Tensor view(const std::vector<at::Tensor>& units, const std::string& name) const;

  const model::ParamTable& table_;
  std::vector<at::Tensor> weights_;
  std::vector<at::Tensor> gradients_;
};

/// The tensors of a safetensors file (fp32, bf16 and int64), on the CPU.
std::map<std::string, at::Tensor> load_safetensors(const std::string& path);

/// ||a - b|| / ||b|| in fp64.
double relative_error(const at::Tensor& a, const at::Tensor& b);

}  // namespace tessera::test
