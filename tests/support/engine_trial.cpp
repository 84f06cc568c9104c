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

Outcome train(const Trial& trial, comm::Collectives& collectives, const topology::Group& group) {
  const kernels::Ops& ops = kernels::ops_for(trial.options.device.type());
  const model::Qwen3Classifier model(
      test::small_shape(), test::kSmallGeometry, ops,
      {trial.options.device, trial.options.compute, trial.recompute, trial.frozen_blocks});
  Engine engine({model.params(), collectives, group, ops, model::num_frozen_units(trial.frozen_blocks)}, trial.options);
  engine.initialise(random_init(ops, 3));
  Outcome outcome;
  const std::int64_t micro_batch = kGlobalBatch / collectives.size() / trial.options.accumulation_steps;
  for (std::int64_t step = 0; step < trial.num_steps; ++step) {
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

Outcome EngineTest::run_alone(const Trial& trial) { return train(trial, *comm::make_self(), topology::Group::self()); }

void EngineTest::expect_same_bits(const Outcome& a, const Outcome& b, const std::string& what) {
  for (std::size_t unit = 0; unit < a.params.size(); ++unit) {
    ASSERT_TRUE(at::equal(a.params[unit], b.params[unit])) << what << ": unit " << unit;
  }
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
