#include "support/engine_trial.hpp"

#include "comm/backends.hpp"
#include "support/local_parameters.hpp"
#include "support/mpi_world.hpp"
#include "support/small_model.hpp"
#include "tessera/kernels/ops.hpp"
#include "tessera/model/drop_path.hpp"
#include "tessera/model/qwen3_classifier.hpp"

#include <ATen/ATen.h>

#include <numeric>
#include <stdexcept>
#include <vector>

namespace tessera::engine {

MicroBatch make_batch(std::int64_t step, std::int64_t first, std::int64_t count, const Trial& trial) {
  MicroBatch batch = test::wave_batch(step * kGlobalBatch + first, count);
  batch.images_B3SS += step == 1 ? trial.poison : 0.0;
  const c10::Device device = trial.options.device;
  at::Tensor branch_scales_L2B;
  if (trial.drop_path > 0) {
    std::vector<std::int64_t> images(static_cast<std::size_t>(count));
    std::iota(images.begin(), images.end(), first);
    branch_scales_L2B =
        model::draw_branch_scales({trial.drop_path, test::small_shape().num_hidden_layers, 11}, step, images, device);
  }
  return {batch.images_B3SS.to(device, trial.options.compute), {batch.targets.labels_B.to(device)}, branch_scales_L2B};
}

namespace {

void expect_equal(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (std::size_t unit = 0; unit < a.size(); ++unit) {
    ASSERT_TRUE(at::equal(a[unit], b[unit])) << what << ": unit " << unit;
  }
}

// A model with its engine.
class Trained {
 public:
  Trained(const Trial& trial, comm::Collectives& collectives, const topology::Group& group)
      : trial_(trial),
        collectives_(collectives),
        ops_(kernels::ops_for(trial.options.device.type())),
        model_(test::small_shape(), test::kSmallGeometry, ops_,
               {trial.options.device, trial.options.compute, trial.recompute, trial.frozen_blocks}),
        engine_({model_.params(), collectives, group, ops_, model::num_frozen_units(trial.frozen_blocks)},
                trial.options) {
    engine_.initialise(random_init(ops_, 3));
  }

  Engine& engine() { return engine_; }

  void train(std::int64_t begin, std::int64_t end, Outcome& outcome) {
    const std::int64_t micro_batch = kGlobalBatch / collectives_.size() / trial_.options.accumulation_steps;
    for (std::int64_t step = begin; step < end; ++step) {
      std::int64_t micro = 0;
      const auto next = [&] {
        const std::int64_t first = (micro++ * collectives_.size() + collectives_.rank()) * micro_batch;
        return make_batch(step, first, micro_batch, trial_);
      };
      outcome.steps.push_back(
          train_step(model_, engine_, ops_, {trial_.options.accumulation_steps, 0.1}, trial_.lr, next));
    }
  }

  // Averages before anything is used, when updates of the last step may not even have begun.
  void take_params(Outcome& outcome) {
    const bool averages = trial_.options.averages();
    if (averages) {
      engine_.with_averages([&] { outcome.averages = weights(); });
    }
    outcome.params = weights();
    if (averages) {
      engine_.with_averages([] {});
      expect_equal(weights(), outcome.params, "after the averages");
    }
  }

 private:
  std::vector<at::Tensor> weights() {
    std::vector<at::Tensor> units;
    for (int unit = 0; unit < static_cast<int>(model_.params().units.size()); ++unit) {
      units.push_back(engine_.weights().weight(unit).clone());
    }
    return units;
  }

  const Trial& trial_;
  comm::Collectives& collectives_;
  const kernels::Ops& ops_;
  model::Qwen3Classifier model_;
  Engine engine_;
};

Outcome train(const Trial& trial, comm::Collectives& collectives, const topology::Group& group) {
  Trained trained(trial, collectives, group);
  Outcome outcome;
  trained.train(0, trial.num_steps, outcome);
  trained.take_params(outcome);
  return outcome;
}

// Halves of fp32 elements lie apart, as codes and scales do; each is copied.
void copy_state(const state::StateDescription& from, const state::StateDescription& to, c10::Device device) {
  const auto bytes = [device](void* memory, std::int64_t size) {
    const bool on_host = at::globalContext().isPinnedPtr(memory, device.type());
    return at::from_blob(memory, {size},
                         at::TensorOptions().dtype(at::kByte).device(on_host ? c10::Device(c10::kCPU) : device));
  };
  ASSERT_EQ(from.mine.size(), to.mine.size());
  for (std::size_t i = 0; i < from.mine.size(); ++i) {
    const state::StateView& source = from.mine[i];
    const state::StateView& target = to.mine[i];
    ASSERT_EQ(source.parameter, target.parameter);
    ASSERT_EQ(source.component, target.component);
    const std::int64_t size = (source.num_bytes() - source.num_scale_bytes()) / (source.low != nullptr ? 2 : 1);
    bytes(target.data, size).copy_(bytes(source.data, size));
    if (source.low != nullptr) {
      bytes(target.low, size).copy_(bytes(source.low, size));
    }
    if (source.scales != nullptr) {
      bytes(target.scales, source.num_scale_bytes()).copy_(bytes(source.scales, source.num_scale_bytes()));
    }
  }
}

}  // namespace

at::Tensor values_of(const Outcome& outcome, const std::string& name) {
  const model::ParamTable table = model::build_param_table(test::small_shape(), test::kSmallGeometry);
  for (const model::Unit& unit : table.units) {
    std::int64_t offset = 0;
    for (int index = unit.first_param; index < unit.first_param + unit.num_params; ++index) {
      const model::Param& param = table.params[static_cast<std::size_t>(index)];
      if (param.name == name) {
        const at::Tensor flat = outcome.params[static_cast<std::size_t>(param.unit)].view({-1});
        return flat.narrow(0, offset, param.num_elements()).to(at::kCPU, at::kDouble);
      }
      offset += param.num_elements();
    }
  }
  throw std::out_of_range(name);
}

double order_bound(double epsilon) {
  return kSteps * static_cast<double>(kGlobalBatch * test::kSmallGeometry.num_tokens()) * epsilon;
}

void EngineTest::SetUp() {
  mesh_ = topology::discover_mesh(test::world(), topology::DeviceRequest::kAuto);
  if (on_gpu() && !mesh_.device.on_gpu) {
    GTEST_SKIP() << "no CUDA device";
  }
  if (!on_gpu()) {
    mesh_.device = {};
  }
  collectives_ = comm::make_collectives(mesh_, comm::Backend::kAuto);
}

Trial EngineTest::trial(int stage) const {
  Trial trial;
  trial.options.zero_stage = stage;
  trial.options.bucket_elements = 5000;
  const auto gpu = static_cast<c10::DeviceIndex>(mesh_.device.gpu.index);
  trial.options.device = on_gpu() ? c10::Device(c10::kCUDA, gpu) : c10::Device(c10::kCPU);
  return trial;
}

Outcome EngineTest::run(const Trial& trial) const { return train(trial, *collectives_, test::world()); }

Outcome EngineTest::run_with_switch(const Trial& trial, double first, double second) const {
  Trial halves[] = {trial, trial};
  halves[0].options.offload = first;
  halves[1].options.offload = second;
  Trained before(halves[0], *collectives_, test::world());
  Trained after(halves[1], *collectives_, test::world());
  Outcome outcome;
  before.train(0, trial.num_steps / 2, outcome);
  copy_state(before.engine().state_to_save(), after.engine().state_to_restore(), trial.options.device);
  after.engine().finish_restore(before.engine().num_updates());
  after.train(trial.num_steps / 2, trial.num_steps, outcome);
  after.take_params(outcome);
  return outcome;
}

Outcome EngineTest::run_alone(const Trial& trial) { return train(trial, *comm::make_self(), topology::Group::self()); }

void EngineTest::expect_same_bits(const Outcome& a, const Outcome& b, const std::string& what) {
  expect_equal(a.params, b.params, what);
  expect_equal(a.averages, b.averages, what + ", averages");
  for (std::size_t step = 0; step < a.steps.size(); ++step) {
    ASSERT_EQ(a.steps[step].loss, b.steps[step].loss) << what << ": step " << step;
  }
}

void EngineTest::expect_close(const Outcome& a, const Outcome& b, double epsilon, const std::string& what) {
  const double bound = order_bound(epsilon);
  for (std::size_t step = 0; step < a.steps.size(); ++step) {
    EXPECT_NEAR(a.steps[step].loss, b.steps[step].loss, bound * b.steps[step].loss) << what << ": step " << step;
    EXPECT_NEAR(a.steps[step].grad_norm, b.steps[step].grad_norm, bound * b.steps[step].grad_norm) << what;
    EXPECT_EQ(a.steps[step].num_images, kGlobalBatch);
  }
  for (std::size_t unit = 0; unit < a.params.size(); ++unit) {
    EXPECT_LT(test::relative_error(a.params[unit], b.params[unit]), bound) << what << ": unit " << unit;
  }
}

}  // namespace tessera::engine
