// What must not change the training: stage, bucket size, overlap, recomputation, where gradients are added up, and the
// number of ranks. Bit for bit where the order of sums is the same, within a bound where it is not.
#include "tessera/engine/engine.hpp"
#include "comm/backends.hpp"
#include "support/local_parameters.hpp"
#include "support/mpi_world.hpp"
#include "support/small_model.hpp"
#include "tessera/comm/make_collectives.hpp"
#include "tessera/core/error.hpp"
#include "tessera/engine/train_step.hpp"
#include "tessera/kernels/ops.hpp"
#include "tessera/model/qwen3_classifier.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace tessera::engine {
namespace {

constexpr std::int64_t kGlobalBatch = 24;
constexpr int kSteps = 4;
struct Trial {
  EngineOptions options;
  bool recompute = false;
  double lr = 1e-2;
  double poison = 0;  ///< added to every image of step 1
};

struct Outcome {
  std::vector<StepStats> steps;
  std::vector<at::Tensor> params;  ///< whole, by unit
};

MicroBatch make_batch(std::int64_t step, std::int64_t first, std::int64_t count, const Trial& trial) {
  MicroBatch batch = test::wave_batch(step * kGlobalBatch + first, count);
  batch.images_B3SS += step == 1 ? trial.poison : 0.0;
  return {batch.images_B3SS.to(trial.options.device, trial.options.compute),
          {batch.targets.labels_B.to(trial.options.device)}};
}

Outcome train(const Trial& trial, comm::Collectives& collectives, const topology::Group& group) {
  const kernels::Ops& ops = kernels::ops_for(trial.options.device.type());
  const model::Qwen3Classifier model(test::small_shape(), test::kSmallGeometry, ops,
                                     {trial.options.device, trial.options.compute, trial.recompute});
  Engine engine({model.params(), collectives, group, ops}, trial.options);
  engine.initialise(random_init(ops, 3));
  Outcome outcome;
  const std::int64_t micro_batch = kGlobalBatch / collectives.size() / trial.options.accumulation_steps;
  for (std::int64_t step = 0; step < kSteps; ++step) {
    std::int64_t micro = 0;
    const auto next = [&] {
      const std::int64_t first = (micro++ * collectives.size() + collectives.rank()) * micro_batch;
      return make_batch(step, first, micro_batch, trial);
    };
    outcome.steps.push_back(train_step(model, engine, ops, {trial.options.accumulation_steps, 0.1}, trial.lr, next));
  }
  for (int unit = 0; unit < static_cast<int>(model.params().units.size()); ++unit) {
    outcome.params.push_back(engine.weights().weight(unit).clone());
  }
  return outcome;
}

class EngineTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    mesh_ = topology::discover_mesh(test::world(), topology::DeviceRequest::kAuto);
    if (on_gpu() && !mesh_.device.on_gpu) {
      GTEST_SKIP() << "no CUDA device";
    }
    if (!on_gpu()) {
      mesh_.device = {};
    }
    collectives_ = comm::make_collectives(mesh_, comm::Backend::kAuto);
  }

  [[nodiscard]] bool on_gpu() const { return std::string(GetParam()) == "cuda"; }
  [[nodiscard]] Trial trial(int stage) const {
    Trial trial;
    trial.options.zero_stage = stage;
    trial.options.bucket_elements = 5000;
    const auto gpu = static_cast<c10::DeviceIndex>(mesh_.device.gpu.index);
    trial.options.device = on_gpu() ? c10::Device(c10::kCUDA, gpu) : c10::Device(c10::kCPU);
    return trial;
  }
  [[nodiscard]] Outcome run(const Trial& trial) const { return train(trial, *collectives_, test::world()); }
  [[nodiscard]] static Outcome run_alone(const Trial& trial) {
    return train(trial, *comm::make_self(), topology::Group::self());
  }

  static void expect_same_bits(const Outcome& a, const Outcome& b, const std::string& what) {
    for (std::size_t unit = 0; unit < a.params.size(); ++unit) {
      ASSERT_TRUE(at::equal(a.params[unit], b.params[unit])) << what << ": unit " << unit;
    }
    for (std::size_t step = 0; step < a.steps.size(); ++step) {
      ASSERT_EQ(a.steps[step].loss, b.steps[step].loss) << what << ": step " << step;
    }
  }

  // A step's gradient of n summands errs by at most n epsilon of the sum of their sizes; AdamW divides by the
  // gradient's own size, so the error of an update is of that order relative to lr, and updates add up.
  static void expect_close(const Outcome& a, const Outcome& b, double epsilon, const std::string& what) {
    const double bound = kSteps * static_cast<double>(kGlobalBatch * test::kSmallGeometry.num_tokens()) * epsilon;
    for (std::size_t step = 0; step < a.steps.size(); ++step) {
      EXPECT_NEAR(a.steps[step].loss, b.steps[step].loss, bound * b.steps[step].loss) << what << ": step " << step;
      EXPECT_NEAR(a.steps[step].grad_norm, b.steps[step].grad_norm, bound * b.steps[step].grad_norm) << what;
      EXPECT_EQ(a.steps[step].num_images, kGlobalBatch);
    }
    for (std::size_t unit = 0; unit < a.params.size(); ++unit) {
      EXPECT_LT(test::relative_error(a.params[unit], b.params[unit]), bound) << what << ": unit " << unit;
    }
  }

  topology::Mesh mesh_;
  std::unique_ptr<comm::Collectives> collectives_;
};

constexpr double kEps32 = std::numeric_limits<float>::epsilon();

TEST_P(EngineTest, StagesGiveTheSameBits) {
  const Outcome base = run(trial(2));
  EXPECT_LT(base.steps.back().loss, base.steps.front().loss) << "it should learn";
  for (const int stage : {0, 1}) {
    expect_same_bits(run(trial(stage)), base, "stage " + std::to_string(stage));
  }
}

TEST_P(EngineTest, OverlapBucketsAndRecomputationChangeNoBit) {
  for (const int stage : {0, 2}) {
    const Outcome base = run(trial(stage));
    Trial variant = trial(stage);
    variant.options.overlap = false;
    expect_same_bits(run(variant), base, "no overlap");
    variant = trial(stage);
    variant.recompute = true;
    expect_same_bits(run(variant), base, "recompute");
    for (const std::int64_t bucket : {std::int64_t{1}, std::int64_t{1} << 30U}) {
      variant = trial(stage);
      variant.options.bucket_elements = bucket;
      expect_same_bits(run(variant), base, "buckets of " + std::to_string(bucket));
    }
  }
}

TEST_P(EngineTest, TheNumberOfRanksChangesTheOrderOfSumsAlone) {
  for (const int stage : {0, 1, 2}) {
    expect_close(run(trial(stage)), run_alone(trial(0)), kEps32, "stage " + std::to_string(stage));
  }
}

TEST_P(EngineTest, AccumulationEqualsOneLargerBatch) {
  const Outcome whole = run_alone(trial(0));
  for (const int stage : {0, 1, 2}) {
    for (const bool at_boundary : {false, true}) {
      Trial variant = trial(stage);
      variant.options.accumulation_steps = 2;
      variant.options.reduce_at_boundary = at_boundary;
      expect_close(run(variant), whole, kEps32, "stage " + std::to_string(stage) + (at_boundary ? " at boundary" : ""));
    }
  }
}

TEST_P(EngineTest, ClippingBoundsTheStep) {
  Trial clipped = trial(2);
  clipped.options.clip_norm = 1e-3;
  const Outcome here = run(clipped);
  Trial alone = clipped;
  alone.options.zero_stage = 0;
  expect_close(here, run_alone(alone), kEps32, "clipped");
  EXPECT_GT(here.steps[0].grad_norm, 1e-3) << "the norm before clipping is reported";
}

TEST_P(EngineTest, LayerDecayAndWeightDecayAreShardedCorrectly) {
  Trial variant = trial(2);
  variant.options.adamw.layer_decay = 0.5;
  variant.options.adamw.weight_decay = 0.3;
  Trial alone = variant;
  alone.options.zero_stage = 0;
  const Outcome here = run(variant);
  expect_close(here, run_alone(alone), kEps32, "layer decay");
  EXPECT_GT(test::relative_error(here.params[0], run(trial(2)).params[0]), 1e-3) << "it has an effect";
}

// bf16 keeps 8 bits: everything that is rounded to it is near, and the masters keep the training on course.
TEST_P(EngineTest, BFloat16FollowsFp32) {
  const Outcome exact = run_alone(trial(0));
  for (const int stage : {0, 1, 2}) {
    for (const std::int64_t accumulation : {1, 2}) {
      for (const at::ScalarType wire : {at::kBFloat16, at::kFloat}) {
        Trial variant = trial(stage);
        variant.options.compute = at::kBFloat16;
        variant.options.wire = wire;
        variant.options.accumulation_steps = accumulation;
        const Outcome rounded = run(variant);
        for (std::size_t step = 0; step < rounded.steps.size(); ++step) {
          EXPECT_NEAR(rounded.steps[step].loss, exact.steps[step].loss, 0.02 * exact.steps[step].loss)
              << "stage " << stage << " accumulation " << accumulation;
        }
      }
    }
  }
}

TEST_P(EngineTest, BFloat16StagesGiveTheSameBits) {
  Trial base = trial(2);
  base.options.compute = at::kBFloat16;
  base.options.wire = at::kBFloat16;
  const Outcome partitioned = run(base);
  for (const int stage : {0, 1}) {
    base.options.zero_stage = stage;
    expect_same_bits(run(base), partitioned, "stage " + std::to_string(stage));
  }
}

TEST_P(EngineTest, SkipsAStepThatIsNotFiniteOnEveryRank) {
  Trial poisoned = trial(2);
  poisoned.poison = std::numeric_limits<double>::infinity();
  const Outcome outcome = run(poisoned);
  EXPECT_FALSE(outcome.steps[0].skipped);
  EXPECT_TRUE(outcome.steps[1].skipped);
  EXPECT_FALSE(outcome.steps[2].skipped);
  EXPECT_TRUE(std::isfinite(outcome.steps[2].loss));
  for (const at::Tensor& unit : outcome.params) {
    EXPECT_TRUE(at::isfinite(unit).all().item<bool>());
  }
}

TEST_P(EngineTest, EndsAfterTooManySkippedSteps) {
  Trial poisoned = trial(2);
  poisoned.poison = std::numeric_limits<double>::quiet_NaN();
  poisoned.options.max_skipped_in_a_row = 1;
  EXPECT_THROW(run(poisoned), core::AgreedError);
}

// Saved by this world, restored by a fresh engine of the same, the run goes on bit for bit.
TEST_P(EngineTest, StateCoversEverythingOnceAndRestores) {
  const kernels::Ops& ops = kernels::ops_for(trial(2).options.device.type());
  const model::Qwen3Classifier model(test::small_shape(), test::kSmallGeometry, ops,
                                     {trial(2).options.device, at::kFloat, false});
  for (const int stage : {0, 2}) {
    Engine engine({model.params(), *collectives_, test::world(), ops}, trial(stage).options);
    const state::StateDescription saved = engine.state_to_save();
    EXPECT_EQ(saved.tensors.size(), 3 * model.params().params.size()) << "fp32 weights are their own masters";
    std::vector<std::int64_t> covered{0};
    for (const state::StateView& view : saved.mine) {
      covered[0] += view.component == state::Component::kExpAvg ? view.num_elements() : 0;
    }
    test::world().sum(std::span<std::int64_t>(covered));
    EXPECT_EQ(covered[0], model.params().num_elements());
    std::int64_t restored = 0;
    for (const state::StateView& view : engine.state_to_restore().mine) {
      restored += view.component == state::Component::kExpAvg ? view.num_elements() : 0;
    }
    if (stage == 0) {
      EXPECT_EQ(restored, model.params().num_elements());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, EngineTest, testing::Values("cpu", "cuda"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace tessera::engine
