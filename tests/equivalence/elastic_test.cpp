// A run saved on any number of ranks at any stage, half of it offloaded or nothing, goes on at any other: as if it had
// not stopped, bit for bit, at the same number of ranks (the stages give the same bits), within the order of sums at
// another.
#include "support/local_parameters.hpp"
#include "support/mpi_world.hpp"
#include "support/shared_scratch.hpp"
#include "support/small_model.hpp"
#include "tessera/checkpoint/restore.hpp"
#include "tessera/checkpoint/save.hpp"
#include "tessera/comm/make_collectives.hpp"
#include "tessera/engine/engine.hpp"
#include "tessera/engine/train_step.hpp"
#include "tessera/kernels/ops.hpp"
#include "tessera/model/qwen3_classifier.hpp"

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tessera::engine {
namespace {

using test::world;

constexpr std::int64_t kGlobalBatch = 24;
constexpr std::int64_t kStepsBefore = 2;
constexpr std::int64_t kStepsAfter = 2;

struct World {
  int size;
  int stage;

  [[nodiscard]] std::string name() const { return "ranks-" + std::to_string(size) + "-stage-" + std::to_string(stage); }
};

std::vector<World> all_worlds() {
  std::vector<World> worlds;
  for (int size = 1; size <= world().size(); ++size) {
    for (const int stage : {0, 1, 2}) {
      worlds.push_back({size, stage});
    }
  }
  return worlds;
}

struct Types {
  at::ScalarType compute;
  config::StateDType moments = config::StateDType::kFloat32;
};

/// An engine on the first ranks, where this rank is one of them.
class SmallRun {
 public:
  SmallRun(const World& world, const topology::Group& group, const Types& types)
      : group_(group),
        collectives_(comm::make_collectives(topology::discover_mesh(group, topology::DeviceRequest::kCpu),
                                            comm::Backend::kAuto)),
        ops_(kernels::ops_for(c10::kCPU)),
        model_(test::small_shape(), test::kSmallGeometry, ops_, {c10::kCPU, types.compute, false}),
        compute_(types.compute) {
    EngineOptions options;
    options.zero_stage = world.stage;
    options.offload = world.stage == 2 && world.size % 2 == 0 ? 0.5 : 0;  // and so from with to without, and back
    options.bucket_elements = 5000;
    options.compute = types.compute;
    options.optimizer.state_dtype = types.moments;
    engine_.emplace(EngineParts{model_.params(), *collectives_, group_, ops_}, options);
  }

  void begin() { engine_->initialise(random_init(ops_, 3)); }

  void train(std::int64_t first_step, std::int64_t num_steps) {
    const std::int64_t share = kGlobalBatch / group_.size();
    for (std::int64_t step = first_step; step < first_step + num_steps; ++step) {
      const auto next = [&]() -> MicroBatch {
        MicroBatch batch = test::wave_batch(step * kGlobalBatch + group_.rank() * share, share);
        return {batch.images_B3SS.to(compute_), batch.targets};
      };
      train_step(model_, *engine_, ops_, {1, 0.1}, 1e-2, next);
    }
  }

  void save(const std::string& run_dir, const std::string& name) const {
    checkpoint::SaveRequest request;
    request.run_dir = run_dir;
    request.name = name;
    request.state = engine_->state_to_save();
    request.run.optimizer_step = engine_->num_updates();
    request.group = group_;
    checkpoint::save(request);
  }

  void restore(const std::string& path) {
    const state::RunState run = checkpoint::restore(path, engine_->state_to_restore(), group_, {});
    engine_->finish_restore(run.optimizer_step);
  }

  /// Whole, by unit.
  std::vector<at::Tensor> weights() {
    std::vector<at::Tensor> weights;
    for (int unit = 0; unit < static_cast<int>(model_.params().units.size()); ++unit) {
      weights.push_back(engine_->weights().weight(unit).clone());
    }
    return weights;
  }

 private:
  topology::Group group_;
  std::unique_ptr<comm::Collectives> collectives_;
  const kernels::Ops& ops_;
  model::Qwen3Classifier model_;
  at::ScalarType compute_;
  std::optional<Engine> engine_;
};

// Each step errs by summands x epsilon of an update, see engine_test.cpp.
constexpr double kBound =
    static_cast<double>((kStepsBefore + kStepsAfter) * kGlobalBatch * 25) * std::numeric_limits<float>::epsilon();

void goes_on_everywhere(const Types& types) {
  const test::SharedScratch scratch;
  const std::string run_dir = scratch.file("run");
  std::map<int, topology::Group> groups;
  for (int size = 1; size <= world().size(); ++size) {
    groups.emplace(size, world().split(world().rank() < size ? 0 : 1));
  }
  std::map<std::string, std::vector<at::Tensor>> uninterrupted;
  for (const World& from : all_worlds()) {
    if (world().rank() < from.size) {
      SmallRun run(from, groups.at(from.size), types);
      run.begin();
      run.train(0, kStepsBefore);
      run.save(run_dir, from.name());
      run.train(kStepsBefore, kStepsAfter);
      uninterrupted[from.name()] = run.weights();
    }
    world().barrier();
  }
  for (const World& from : all_worlds()) {
    for (const World& to : all_worlds()) {
      // In bf16 the roundings of a gradient hide what the order of sums does to it.
      if (types.compute == at::kBFloat16 && from.size != to.size) {
        continue;
      }
      if (world().rank() < to.size) {
        SmallRun run(to, groups.at(to.size), types);
        run.restore(run_dir + "/checkpoint-" + from.name());
        run.train(kStepsBefore, kStepsAfter);
        const std::vector<at::Tensor> here = run.weights();
        const std::vector<at::Tensor>& expected = uninterrupted.at(to.name());
        for (std::size_t unit = 0; unit < here.size(); ++unit) {
          const std::string what = from.name() + " to " + to.name() + ", unit " + std::to_string(unit);
          if (from.size == to.size) {
            EXPECT_TRUE(at::equal(here[unit], expected[unit])) << what;
          } else {
            EXPECT_LT(test::relative_error(here[unit], expected[unit]), kBound) << what;
          }
        }
      }
      world().barrier();
    }
  }
}

TEST(Elastic, EveryWorldAndStageGoesOnFromEveryOther) { goes_on_everywhere({at::kFloat}); }
TEST(Elastic, InBFloat16TheSameBitsAtTheSameNumberOfRanks) { goes_on_everywhere({at::kBFloat16}); }
// Where the order of sums has changed a moment by a unit, it may be rounded to the other side: hence the same bound for
// the few elements that this happens to, in 8 bits too.
TEST(Elastic, MomentsInBFloat16AreTheSameBitsAtTheSameNumberOfRanks) {
  goes_on_everywhere({at::kFloat, config::StateDType::kBFloat16});
}
TEST(Elastic, MomentsIn8BitsAreTheSameBitsAtTheSameNumberOfRanks) {
  goes_on_everywhere({at::kFloat, config::StateDType::k8Bit});
}

}  // namespace
}  // namespace tessera::engine
