#pragma once

#include "tessera/comm/make_collectives.hpp"
#include "tessera/engine/engine.hpp"
#include "tessera/engine/train_step.hpp"
#include "tessera/topology/mesh.hpp"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

// A small model, trained for a few steps by the engine on all ranks of the test, or on one.

namespace tessera::engine {

constexpr std::int64_t kGlobalBatch = 24;
constexpr int kSteps = 4;
constexpr double kEps32 = std::numeric_limits<float>::epsilon();

struct Trial {
  EngineOptions options;
  model::RecomputePolicy recompute{};
  double lr = 1e-2;
  double poison = 0;  ///< added to every image of step 1
  std::int64_t num_steps = kSteps;
  std::int64_t frozen_blocks = 0;
  double drop_path = 0;
};

struct Outcome {
  std::vector<StepStats> steps;
  std::vector<at::Tensor> params;    ///< whole, by unit
  std::vector<at::Tensor> averages;  ///< the same of moving averages, where they are kept
};

/// `count` images from `first` of a step's kGlobalBatch.
MicroBatch make_batch(std::int64_t step, std::int64_t first, std::int64_t count, const Trial& trial);

/// A parameter's elements, flat, in fp64 on the CPU.
at::Tensor values_of(const Outcome& outcome, const std::string& name);

/// What a step's gradient may err by from another order of sums: n summands err by at most n epsilon of the sum of
/// their sizes; AdamW divides by the gradient's own size, so the error of an update is of that order relative to lr,
/// and updates add up.
double order_bound(double epsilon);

/// With the parameter "cpu" or "cuda".
class EngineTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override;

  [[nodiscard]] bool on_gpu() const { return std::string(GetParam()) == "cuda"; }
  /// NCCL adds up more than two ranks' numbers in an order that depends on their place in the buffer.
  [[nodiscard]] bool sums_depend_on_place() const { return collectives_->size() > 2 && collectives_->name() == "nccl"; }
  [[nodiscard]] Trial trial(int stage) const;
  [[nodiscard]] Outcome run(const Trial& trial) const;
  [[nodiscard]] static Outcome run_alone(const Trial& trial);
  /// The run, each half of it with an offload of its own: the state goes from one engine to another.
  [[nodiscard]] Outcome run_with_switch(const Trial& trial, double first, double second) const;

  static void expect_same_bits(const Outcome& a, const Outcome& b, const std::string& what);
  static void expect_close(const Outcome& a, const Outcome& b, double epsilon, const std::string& what);

  topology::Mesh mesh_;
  std::unique_ptr<comm::Collectives> collectives_;
};

}  // namespace tessera::engine
