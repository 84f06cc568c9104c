// What must not change the training: stage, bucket size, overlap, recomputation, where gradients are added up, and the
// number of ranks. Bit for bit where the order of sums is the same, within a bound where it is not.
#include "support/engine_trial.hpp"
#include "support/local_parameters.hpp"
#include "support/mpi_world.hpp"
#include "support/small_model.hpp"
#include "tessera/core/error.hpp"
#include "tessera/engine/shard_layout.hpp"
#include "tessera/kernels/ops.hpp"
#include "tessera/model/qwen3_classifier.hpp"

#include <ATen/ATen.h>
#include <fmt/core.h>
#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

namespace tessera::engine {
namespace {

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
    for (const model::RecomputePolicy policy : {model::RecomputePolicy{3, 0}, {0, 3}, {1, 1}}) {
      variant = trial(stage);
      variant.recompute = policy;
      expect_same_bits(
          run(variant), base,
          fmt::format("{} blocks recomputed, feed-forward of {}", policy.whole_blocks, policy.feed_forwards));
    }
    for (const std::int64_t bucket : {std::int64_t{1}, std::int64_t{1} << 30U}) {
      variant = trial(stage);
      variant.options.bucket_elements = bucket;
      const std::string what = "buckets of " + std::to_string(bucket);
      if (sums_depend_on_place()) {
        expect_close(run(variant), base, kEps32, what);
      } else {
        expect_same_bits(run(variant), base, what);
      }
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

// Wherever state and gradients are, the same is summed in the same order. But for one rank's offloaded gradients in
// fp32: where these stay, products add later micro-steps onto earlier ones.
TEST_P(EngineTest, OffloadChangesNoBit) {
  using config::OptimizerKind;
  // Bytes that cross the bus at a time: more than any shard has, and so few that the ring is gone through.
  constexpr std::int64_t kWhole = 1 << 26;
  constexpr std::int64_t kFew = 12 * 3 * kAlignment;
  constexpr std::int64_t kMany = 12 * 64 * kAlignment;
  struct Case {
    OptimizerKind kind;
    at::ScalarType compute;
    std::int64_t micro_steps;
    int stage;
    config::StateDType moments = config::StateDType::kFloat32;
  };
  for (const Case& tried :
       {Case{OptimizerKind::kAdamW, at::kFloat, 2, 2}, Case{OptimizerKind::kAdamW, at::kBFloat16, 1, 1},
        Case{OptimizerKind::kAdamW, at::kBFloat16, 2, 2}, Case{OptimizerKind::kSgd, at::kFloat, 1, 1},
        Case{OptimizerKind::kLars, at::kBFloat16, 2, 2},
        Case{OptimizerKind::kAdamW, at::kBFloat16, 2, 2, config::StateDType::kBFloat16},
        Case{OptimizerKind::kAdamW, at::kBFloat16, 2, 2, config::StateDType::k8Bit},
        Case{OptimizerKind::kLars, at::kFloat, 1, 1, config::StateDType::k8Bit}}) {
    Trial kept = trial(2);
    kept.options.optimizer.kind = tried.kind;
    kept.options.optimizer.state_dtype = tried.moments;
    kept.options.compute = kept.options.wire = tried.compute;
    kept.options.accumulation_steps = tried.micro_steps;
    kept.options.clip_norm = 0.5;
    kept.options.average_decay = 0.9;
    Trial offloaded = kept;
    offloaded.options.zero_stage = tried.stage;
    const Outcome expected = run(kept);
    for (const auto& [share, gradients, chunk] : {std::tuple(1.0, false, kWhole),
                                                  {1.0, true, kMany},
                                                  {0.6, true, kWhole},
                                                  {0.2, false, kMany},
                                                  {0.2, true, kFew}}) {
      offloaded.options.offload = share;
      offloaded.options.offload_gradients = gradients;
      offloaded.options.offload_chunk_bytes = chunk;
      const std::string what =
          fmt::format("{} in {} with moments in {}, {} micro-steps, {} offloaded{}", config::name_of(tried.kind),
                      c10::toString(tried.compute), config::name_of(tried.moments), tried.micro_steps, share,
                      gradients ? " with gradients" : "");
      if (!gradients || test::world().size() > 1 || tried.micro_steps == 1 || tried.compute == at::kBFloat16) {
        expect_same_bits(run(offloaded), expected, what);
      } else {
        expect_close(run(offloaded), expected, kEps32, what);
      }
    }
  }
}

// The state is one and the same: a run may offload for a while, and go on with less of it, or without.
TEST_P(EngineTest, OffloadMayChangeOnTheWay) {
  Trial steady = trial(2);
  steady.options.compute = steady.options.wire = at::kBFloat16;
  const auto expect_no_change = [&](std::initializer_list<std::pair<double, double>> shares) {
    const Outcome expected = run(steady);
    for (const auto& [first, second] : shares) {
      expect_same_bits(run_with_switch(steady, first, second), expected,
                       fmt::format("{} offloaded, then {}", first, second));
    }
  };
  expect_no_change({{1.0, 0.0}, {0.0, 1.0}, {0.7, 0.3}, {0.3, 1.0}});
  steady.options.optimizer.state_dtype = config::StateDType::k8Bit;
  expect_no_change({{0.0, 1.0}, {0.7, 0.3}});
}

// Which branches an image goes without is the image's and the epoch's affair.
TEST_P(EngineTest, StochasticDepthIsTheSameOnAnyRanksAndInAnyMicroSteps) {
  Trial dropped = trial(0);
  dropped.drop_path = 0.5;
  const Outcome whole = run_alone(dropped);
  EXPECT_NE(whole.steps[0].loss, run_alone(trial(0)).steps[0].loss);
  for (const int stage : {0, 2}) {
    dropped.options.zero_stage = stage;
    const Outcome kept = run(dropped);
    expect_close(kept, whole, kEps32, "stage " + std::to_string(stage));
    Trial variant = dropped;
    variant.recompute = {1, 1};
    expect_same_bits(run(variant), kept, "recompute");
    variant.options.accumulation_steps = 2;
    expect_close(run(variant), whole, kEps32, "accumulated, stage " + std::to_string(stage));
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
          const StepStats& expected = exact.steps[step];
          const std::string what = fmt::format("stage {}, accumulation {}, step {}", stage, accumulation, step);
          EXPECT_NEAR(rounded.steps[step].loss, expected.loss, 0.02 * expected.loss) << what;
          EXPECT_NEAR(rounded.steps[step].grad_norm, expected.grad_norm, 0.02 * expected.grad_norm) << what;
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

// Over the ranks, what is saved has every element once; what a rank restores is all that it holds.
TEST_P(EngineTest, StateCoversEverythingOnce) {
  const kernels::Ops& ops = kernels::ops_for(trial(2).options.device.type());
  const model::Qwen3Classifier model(test::small_shape(), test::kSmallGeometry, ops,
                                     {trial(2).options.device, at::kFloat});
  const std::vector<model::Param>& params = model.params().params;
  // How often each element is there, on all ranks together.
  const auto times = [&](const state::StateDescription& state) {
    std::vector<std::int64_t> counts(static_cast<std::size_t>(model.params().num_elements()));
    for (const state::StateView& view : state.mine) {
      std::int64_t first = 0;
      for (auto param = params.begin(); param != params.end() && param->name != view.parameter; ++param) {
        first += param->num_elements();
      }
      for (std::int64_t i = view.begin; view.component == state::Component::kExpAvg && i < view.end; ++i) {
        ++counts.at(static_cast<std::size_t>(first + i));
      }
    }
    test::world().sum(std::span<std::int64_t>(counts));
    return counts;
  };
  for (const int stage : {0, 2}) {
    Engine engine({model.params(), *collectives_, test::world(), ops}, trial(stage).options);
    const state::StateDescription saved = engine.state_to_save();
    EXPECT_EQ(saved.tensors.size(), 3 * params.size()) << "fp32 weights are their own masters";
    EXPECT_THAT(times(saved), testing::Each(1)) << "stage " << stage;
    EXPECT_THAT(times(engine.state_to_restore()), testing::Each(stage == 0 ? test::world().size() : 1));
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, EngineTest, testing::Values("cpu", "cuda"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace tessera::engine
