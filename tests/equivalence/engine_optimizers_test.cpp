// Each optimizer, sharded over the ranks, against the same written out for whole tensors; learning rates by depth and
// decay by kind of parameter, as real updates show them.
#include "support/engine_trial.hpp"
#include "support/local_parameters.hpp"
#include "support/mpi_world.hpp"
#include "support/small_model.hpp"
#include "tessera/kernels/ops.hpp"
#include "tessera/model/qwen3_classifier.hpp"

#include <ATen/ATen.h>
#include <fmt/core.h>

#include <cmath>
#include <span>
#include <string>
#include <vector>

namespace tessera::engine {
namespace {

using config::OptimizerKind;

// One parameter as torch.optim.AdamW, torch.optim.SGD or MAE's util/lars.py updates it, in fp64.
class DenseOptimizer {
 public:
  DenseOptimizer(const model::Param& param, const OptimizerOptions& options)
      : options_(options),
        is_matrix_(param.shape.size() > 1),
        first_(at::zeros(param.shape, at::kDouble)),
        second_(at::zeros(param.shape, at::kDouble)) {}

  void step(at::Tensor p, const at::Tensor& gradient, double lr) {
    ++step_;
    const double decay = is_matrix_ ? options_.weight_decay : 0;
    if (options_.kind == OptimizerKind::kAdamW) {
      p.mul_(1 - lr * decay);
      first_ = options_.beta1 * first_ + (1 - options_.beta1) * gradient;
      second_ = options_.beta2 * second_ + (1 - options_.beta2) * gradient * gradient;
      const at::Tensor average = first_ / (1 - std::pow(options_.beta1, step_));
      p.sub_(lr * average / ((second_ / (1 - std::pow(options_.beta2, step_))).sqrt() + options_.eps));
      return;
    }
    at::Tensor change = gradient + decay * p;
    if (options_.kind == OptimizerKind::kLars && is_matrix_) {
      const double norm = p.norm().item<double>();
      const double size = change.norm().item<double>();
      change = change * (norm > 0 && size > 0 ? options_.trust_coefficient * norm / size : 1.0);
    }
    first_ = options_.momentum * first_ + change;
    p.sub_(lr * first_);
  }

 private:
  OptimizerOptions options_;
  bool is_matrix_;
  at::Tensor first_;
  at::Tensor second_;
  int step_ = 0;
};

// The training of engine_trial.hpp without the engine: whole batches, whole tensors.
Outcome train_densely(const Trial& trial) {
  const kernels::Ops& ops = kernels::ops_for(c10::DeviceType::CPU);
  const model::Qwen3Classifier model(test::small_shape(), test::kSmallGeometry, ops, {});
  const int num_frozen = model::num_frozen_units(trial.frozen_blocks);
  test::LocalParameters parameters(model.params(), c10::kCPU, at::kFloat);
  const FillPiece fill = random_init(ops, 3);
  std::vector<DenseOptimizer> optimizers;
  std::vector<at::Tensor> masters;  // fp64
  for (const model::Param& param : model.params().params) {
    at::Tensor flat = parameters.param(param.name).view({-1});
    fill(param, 0, flat);
    masters.push_back(parameters.param(param.name).to(at::kDouble));
    optimizers.emplace_back(param, trial.options.optimizer);
  }
  Outcome outcome;
  Trial whole = trial;
  whole.options.device = c10::kCPU;
  for (std::int64_t step = 0; step < kSteps; ++step) {
    const MicroBatch batch = make_batch(step, 0, kGlobalBatch, whole);
    model::Activations activations;
    const at::Tensor logits = model.forward(batch.images_B3SS, parameters, &activations);
    const auto entropy = ops.cross_entropy(logits, batch.targets, 0.1);
    model.backward(entropy.dlogits_BC, activations, parameters, parameters);
    double squares = 0;
    for (const model::Param& param : model.params().params) {
      if (param.unit >= num_frozen) {
        squares += parameters.gradient(param.name).to(at::kDouble).square().sum().item<double>();
      }
    }
    StepStats stats;
    stats.loss = entropy.loss_B.to(at::kDouble).mean().item<double>();
    stats.grad_norm = std::sqrt(squares);
    stats.num_images = kGlobalBatch;
    outcome.steps.push_back(stats);
    const double bound = trial.options.clip_norm;
    const double clip = bound > 0 ? std::min(1.0, bound / (stats.grad_norm + 1e-6)) : 1.0;
    for (std::size_t i = 0; i < masters.size(); ++i) {
      const model::Param& param = model.params().params[i];
      if (param.unit >= num_frozen) {
        optimizers[i].step(masters[i], clip * parameters.gradient(param.name).to(at::kDouble), trial.lr);
        parameters.param(param.name).copy_(masters[i]);
      }
    }
  }
  for (int unit = 0; unit < static_cast<int>(model.params().units.size()); ++unit) {
    outcome.params.push_back(parameters.weight(unit).clone());
  }
  return outcome;
}

Trial without_step(Trial trial) {
  trial.lr = 0;
  return trial;
}

struct Kind {
  OptimizerKind kind;
  double lr;  // at which it learns
};
constexpr Kind kKinds[] = {{OptimizerKind::kAdamW, 1e-2}, {OptimizerKind::kSgd, 3e-2}, {OptimizerKind::kLars, 10.0}};

TEST_P(EngineTest, EveryOptimizerIsItselfWhenSharded) {
  for (const auto& [kind, lr] : kKinds) {
    for (const double clip : {0.0, 0.5}) {
      Trial variant = trial(2);
      variant.options.optimizer.kind = kind;
      variant.options.optimizer.weight_decay = 0.1;
      variant.options.clip_norm = clip;
      variant.lr = lr;
      const Outcome dense = train_densely(variant);
      EXPECT_LT(dense.steps.back().loss, dense.steps.front().loss) << "it should learn";
      const std::string what = std::string(config::name_of(kind)) + " clipped to " + std::to_string(clip);
      const Outcome partitioned = run(variant);
      expect_close(partitioned, dense, kEps32, what);
      for (const int stage : {0, 1}) {
        variant.options.zero_stage = stage;
        expect_same_bits(run(variant), partitioned, what + ", stage " + std::to_string(stage));
      }
    }
  }
}

// Rounding is by an element's place among all, or in blocks that lie at the same elements: neither stage nor size of
// buckets changes a bit.
TEST_P(EngineTest, MomentsInFewerBitsAreTheSameAtEveryStage) {
  for (const auto& [kind, lr] : kKinds) {
    Trial exact = trial(2);
    exact.options.optimizer.kind = kind;
    exact.lr = lr;
    const double exact_loss = run(exact).steps.back().loss;
    for (const config::StateDType kept : {config::StateDType::kBFloat16, config::StateDType::k8Bit}) {
      Trial variant = exact;
      variant.options.optimizer.state_dtype = kept;
      const std::string what = fmt::format("{}, moments in {}", config::name_of(kind), config::name_of(kept));
      const Outcome partitioned = run(variant);
      EXPECT_NE(partitioned.steps.back().loss, exact_loss) << what << " have an effect";
      EXPECT_LT(partitioned.steps.back().loss, partitioned.steps.front().loss) << what;
      for (const int stage : {0, 1}) {
        variant.options.zero_stage = stage;
        expect_same_bits(run(variant), partitioned, what + ", stage " + std::to_string(stage));
      }
      if (!sums_depend_on_place()) {  // a bit of a sum may move a moment by a step of its coarse type
        variant.options.bucket_elements = 20'000;
        expect_same_bits(run(variant), partitioned, what + ", larger buckets");
      }
    }
  }
}

// The model without the engine computes every gradient, and leaves what is frozen alone.
TEST_P(EngineTest, FrozenBlocksStayAndTheOthersTrainAsTheyWould) {
  for (const std::int64_t frozen : {1, 3}) {
    Trial variant = trial(2);
    variant.frozen_blocks = frozen;
    variant.options.optimizer.layer_decay = 1;
    variant.options.clip_norm = 0.5;
    const Outcome dense = train_densely(variant);
    const std::string what = std::to_string(frozen) + " frozen";
    const Outcome partitioned = run(variant);
    expect_close(partitioned, dense, kEps32, what);
    for (const int stage : {0, 1}) {
      variant.options.zero_stage = stage;
      expect_same_bits(run(variant), partitioned, what + ", stage " + std::to_string(stage));
    }
    variant.recompute = {1, 1};
    expect_same_bits(run(variant), partitioned, what + ", recomputed");
    const Outcome start = run(without_step(variant));
    EXPECT_TRUE(
        at::equal(values_of(partitioned, "patch_embed.proj.weight"), values_of(start, "patch_embed.proj.weight")));
    const auto moved = [&](const std::string& name) {
      return !at::equal(values_of(partitioned, name), values_of(start, name));
    };
    EXPECT_FALSE(moved("qwen.layers." + std::to_string(frozen - 1) + ".mlp.down_proj.weight"));
    EXPECT_TRUE(moved(frozen == 3 ? "qwen.norm.weight" : "qwen.layers.1.input_layernorm.weight"));
  }
}

// A frozen parameter is saved as a weight alone, and once over the ranks.
TEST_P(EngineTest, FrozenParametersAreSavedWithoutOptimizerState) {
  const kernels::Ops& ops = kernels::ops_for(trial(2).options.device.type());
  const model::ParamTable table = model::build_param_table(test::small_shape(), test::kSmallGeometry);
  const int num_frozen = model::num_frozen_units(2);
  for (const int stage : {0, 2}) {
    const Engine engine({table, *collectives_, test::world(), ops, num_frozen}, trial(stage).options);
    const state::StateDescription saved = engine.state_to_save();
    std::int64_t expected = 0;
    for (const model::Param& param : table.params) {
      expected += param.unit < num_frozen ? 1 : 3;
    }
    EXPECT_EQ(static_cast<std::int64_t>(saved.tensors.size()), expected);
    std::vector<std::int64_t> covered{0};
    for (const state::StateView& view : saved.mine) {
      covered[0] += view.component == state::Component::kWeight ? view.num_elements() : 0;
    }
    test::world().sum(std::span<std::int64_t>(covered));
    EXPECT_EQ(covered[0], table.num_elements());
  }
}

std::vector<at::Tensor> weights_of(Engine& engine, std::size_t num_units) {
  std::vector<at::Tensor> weights;
  for (std::size_t unit = 0; unit < num_units; ++unit) {
    weights.push_back(engine.weights().weight(static_cast<int>(unit)).clone());
  }
  return weights;
}

// timm's ModelEmaV3 on whole weights beside it: average.lerp_(weight, 1 - decay) after every step. A step's roundings
// are three units of the numbers, which are below 2.
TEST_P(EngineTest, AveragesFollowTheWeightsAndLeaveThemAlone) {
  constexpr double kDecay = 0.8;
  const kernels::Ops& ops = kernels::ops_for(trial(2).options.device.type());
  const model::Qwen3Classifier model(test::small_shape(), test::kSmallGeometry, ops,
                                     {trial(2).options.device, at::kFloat});
  const std::size_t num_units = model.params().units.size();
  const std::int64_t mine = kGlobalBatch / test::world().size();
  for (const int stage : {0, 1, 2}) {
    Trial variant = trial(stage);
    variant.options.average_decay = kDecay;
    Engine engine({model.params(), *collectives_, test::world(), ops}, variant.options);
    engine.initialise(random_init(ops, 3));
    std::vector<at::Tensor> expected = weights_of(engine, num_units);
    for (std::int64_t step = 0; step < kSteps; ++step) {
      const auto next = [&] { return make_batch(step, mine * test::world().rank(), mine, variant); };
      train_step(model, engine, ops, {1, 0.1}, variant.lr, next);
      const std::vector<at::Tensor> weights = weights_of(engine, num_units);
      for (std::size_t unit = 0; unit < num_units; ++unit) {
        expected[unit].lerp_(weights[unit], 1 - kDecay);
      }
    }
    const std::vector<at::Tensor> before = weights_of(engine, num_units);
    std::vector<at::Tensor> averages;
    engine.with_averages([&] { averages = weights_of(engine, num_units); });
    const std::vector<at::Tensor> after = weights_of(engine, num_units);
    for (std::size_t unit = 0; unit < num_units; ++unit) {
      EXPECT_LT((averages[unit] - expected[unit]).abs().max().item<double>(), 6 * kSteps * kEps32) << unit;
      EXPECT_FALSE(at::equal(averages[unit], before[unit])) << unit;
      EXPECT_TRUE(at::equal(after[unit], before[unit])) << unit;
    }
  }
}

// BEiT's rule, as MAE's util/lr_decay.py has it: by names alone.
int depth_by_name(const std::string& name, int num_blocks) {
  if (name.starts_with("patch_embed.")) {
    return 0;
  }
  const std::string prefix = "qwen.layers.";
  return name.starts_with(prefix) ? std::stoi(name.substr(prefix.size())) + 1 : num_blocks + 1;
}

// What one step of SGD without momentum changes is lr x scale x gradient, and shows the scale.
Trial one_step(Trial trial) {
  trial.options.optimizer = {.kind = OptimizerKind::kSgd, .momentum = 0, .weight_decay = 0};
  trial.num_steps = 1;
  trial.lr = 0.1;
  return trial;
}

// Parameters of about 1 at most, rounded twice.
constexpr double kRounding = 4 * kEps32;

TEST_P(EngineTest, LearningRatesFallByDepth) {
  constexpr double kDecay = 0.6;
  const auto num_blocks = static_cast<int>(test::small_shape().num_hidden_layers);
  Trial variant = one_step(trial(2));
  const Outcome start = run(without_step(variant));
  const Outcome alike = run(variant);
  variant.options.optimizer.layer_decay = kDecay;
  const Outcome decayed = run(variant);
  for (const model::Param& param : model::build_param_table(test::small_shape(), test::kSmallGeometry).params) {
    const double scale = std::pow(kDecay, num_blocks + 1 - depth_by_name(param.name, num_blocks));
    const at::Tensor before = values_of(start, param.name);
    const at::Tensor expected = scale * (values_of(alike, param.name) - before);
    const at::Tensor actual = values_of(decayed, param.name) - before;
    EXPECT_LT((actual - expected).abs().max().item<double>(), kRounding) << param.name;
    EXPECT_GT(actual.abs().max().item<double>(), 20 * kRounding) << param.name << " should move";
  }
}

TEST_P(EngineTest, MatricesAloneDecay) {
  constexpr double kDecay = 0.25;
  for (const OptimizerKind kind : {OptimizerKind::kAdamW, OptimizerKind::kSgd}) {
    Trial variant = one_step(trial(2));
    variant.options.optimizer.kind = kind;
    const Outcome start = run(without_step(variant));
    const Outcome free = run(variant);
    variant.options.optimizer.weight_decay = kDecay;
    const Outcome decayed = run(variant);
    for (const model::Param& param : model::build_param_table(test::small_shape(), test::kSmallGeometry).params) {
      const bool is_vector = param.name.find("norm") != std::string::npos || param.name.ends_with("bias");
      const at::Tensor change = values_of(decayed, param.name) - values_of(free, param.name);
      const at::Tensor expected = (is_vector ? 0 : -variant.lr * kDecay) * values_of(start, param.name);
      EXPECT_LT((change - expected).abs().max().item<double>(), kRounding) << param.name;
    }
  }
}

}  // namespace
}  // namespace tessera::engine
