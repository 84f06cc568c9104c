// One training step on random images: tokens/s, TFLOP/s, MFU, peak memory beside the plan's, and where the time goes.
//   step_bench FLAGS        as for `tessera plan`; --max_steps: steps that are timed (default 20)
//   mpirun -np 4 step_bench --model_config qwen3-8b --dataset cifar100 --batch_size 32 --zero_stage 2
// One JSON object on stdout: times in milliseconds on rank 0, rates of all ranks, and of the median step.
#include "tessera/config/command_line.hpp"
#include "tessera/core/error.hpp"
#include "tessera/engine/engine.hpp"
#include "tessera/engine/train_step.hpp"
#include "tessera/model/flops.hpp"
#include "tessera/model/qwen3_classifier.hpp"
#include "tessera/topology/session.hpp"
#include "train/meters.hpp"
#include "train/part_clock.hpp"
#include "train/planning.hpp"
#include "train/platform.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/randn.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace tessera::train {
namespace {

constexpr std::int64_t kWarmUp = 5;

struct Bench {
  const config::RunConfig& config;
  const Platform& platform;
  model::Geometry geometry;
};

engine::MicroBatch random_batch(const Bench& bench) {
  const std::int64_t batch = bench.config.data.batch_size;
  const std::int64_t size = bench.geometry.input_size;
  const auto options = at::TensorOptions().device(bench.platform.device);
  return {at::randn({batch, 3, size, size}, options.dtype(bench.platform.compute)),
          at::arange(batch, options.dtype(at::kLong)).remainder(bench.geometry.num_classes)};
}

/// Each timed step's parts, by part.
std::map<std::string, std::vector<double>> time_steps(const Bench& bench, const engine::PlannedRun& planned) {
  const config::RunConfig& config = bench.config;
  const Platform& platform = bench.platform;
  const model::Qwen3Classifier model(config.model.shape, bench.geometry, *platform.ops,
                                     {platform.device, platform.compute, planned.recompute});
  engine::Engine engine({model.params(), *platform.collectives, platform.mesh.world, *platform.ops}, planned.options);
  engine.initialise(engine::random_init(*platform.ops, config.runtime.seed));
  const engine::MicroBatch batch = random_batch(bench);
  PartClock clock(platform.device);
  const engine::StepOptions step{config.data.accum_iter, config.optimizer.smoothing,
                                 [&clock](const char* part) { clock.mark(part); }};
  std::map<std::string, std::vector<double>> times;
  const std::int64_t num_steps = config.optimizer.max_steps > 0 ? config.optimizer.max_steps : 20;
  for (std::int64_t i = 0; i < kWarmUp + num_steps; ++i) {
    clock.mark("start");
    engine::train_step(model, engine, *platform.ops, step, 1e-4, [&] { return batch; });
    double total = 0;
    for (const auto& [part, seconds] : clock.take_until("update")) {
      if (i >= kWarmUp && part != "start") {
        times[part].push_back(1e3 * seconds);
        total += 1e3 * seconds;
      }
    }
    if (i >= kWarmUp) {
      times["step"].push_back(total);
    }
  }
  return times;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void report(const Bench& bench, const engine::MemoryPlan& plan,
            const std::map<std::string, std::vector<double>>& times) {
  const Platform& platform = bench.platform;
  const double seconds = median(times.at("step")) / 1e3;
  const auto images = static_cast<double>(bench.config.effective_batch(platform.world()));
  const double flops = 3 * model::forward_flops_per_image(bench.config.model.shape, bench.geometry) * images / seconds;
  nlohmann::ordered_json json = {
      {"world", platform.world()},
      {"zero_stage", bench.config.zero.stage},
      {"images_per_step", images},
      {"steps", times.at("step").size()},
      {"step_ms", seconds * 1e3},
      {"slowest_step_ms", *std::max_element(times.at("step").begin(), times.at("step").end())},
      {"images_per_s", images / seconds},
      {"tokens_per_s", images * static_cast<double>(bench.config.data.num_tokens()) / seconds},
      {"tflops_per_rank", flops / platform.world() / 1e12},
      {"mfu", flops / platform.world() / platform.peak.flops},
      {"peak_rate", platform.peak.source},
      {"peak_bytes", peak_memory_bytes(platform.device)},
      {"planned_bytes", plan.total()}};
  for (const auto& [part, milliseconds] : times) {
    if (part != "step") {
      json["parts_ms"][part] = median(milliseconds);
    }
  }
  std::puts(json.dump(2).c_str());
}

void run(const std::vector<const char*>& flags, const topology::Group& world) {
  config::Command command;
  world.agree([&] {
    command = config::parse_command_line(static_cast<int>(flags.size()), flags.data());
    config::validate_world(command.run, world.size());
  });
  const core::Log log(world.rank() == 0 ? core::Log::Level::kAll : core::Log::Level::kSilent);
  Platform platform;
  world.agree([&] { platform = open_platform(command.run.runtime, world, log); });
  const config::DataConfig& data = command.run.data;
  const Bench bench{
      command.run, platform, {data.input_size, data.patch_size, data.nb_classes > 0 ? data.nb_classes : 100}};
  const engine::EngineOptions options = engine_options(command.run, platform.device, platform.compute);
  engine::PlannedRun planned = planned_run(command.run, bench.geometry.num_classes, platform.world(), options);
  if (command.plan.gpu_memory) {
    settle_by_memory(planned, command.run, command.plan.gpu_memory->bytes);
  }
  const engine::MemoryPlan plan = engine::plan_memory(planned);
  world.agree([&] { require_memory(plan, platform); });
  const auto times = time_steps(bench, planned);
  if (platform.is_first()) {
    report(bench, plan, times);
  }
}

}  // namespace
}  // namespace tessera::train

int main(int argc, char** argv) {
  const tessera::topology::Session session;
  try {
    std::vector<const char*> flags{argv[0], "plan"};
    flags.insert(flags.end(), argv + 1, argv + argc);
    tessera::train::run(flags, session.world());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "step_bench: rank %d: %s\n", session.world().rank(), error.what());
    session.abort(1);
  }
}
