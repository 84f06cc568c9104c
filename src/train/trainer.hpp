#pragma once

#include "tessera/config/run_config.hpp"
#include "tessera/core/log.hpp"
#include "tessera/data/dataset.hpp"
#include "tessera/data/loader.hpp"
#include "tessera/engine/engine.hpp"
#include "tessera/engine/train_step.hpp"
#include "tessera/model/classifier.hpp"
#include "tessera/model/drop_path.hpp"
#include "tessera/state/run_state.hpp"
#include "tessera/train/commands.hpp"
#include "tessera/train/schedule.hpp"
#include "train/evaluation.hpp"
#include "train/meters.hpp"
#include "train/part_clock.hpp"
#include "train/platform.hpp"
#include "train/progress.hpp"
#include "train/run_log.hpp"
#include "train/saver.hpp"
#include "train/stopper.hpp"
#include "train/stragglers.hpp"

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace tessera::train {

/// How much there is to train, and to compute for it.
struct Workload {
  std::int64_t num_parameters = 0;  ///< of the whole model
  std::int64_t num_trained = 0;
  std::int64_t tokens_per_image = 0;
  double flops_per_image = 0;  ///< of a training step, by model::forward_flops_per_image()
};

/// What a trainer works with. What is referred to outlives the trainer.
struct TrainerParts {
  const config::RunConfig& config;
  const Platform& platform;
  const core::Log& log;
  const model::Classifier& model;
  engine::Engine& engine;
  const data::Dataset& train_set;
  const data::Dataset& test_set;
  data::LoaderSpec train_loader;
  data::LoaderSpec test_loader;
  Workload workload;
  Stopper* stopper = nullptr;  ///< of a Trainer; an evaluation alone has none
};

/// The loop over epochs and steps, from wherever `run` stands to the end, or to where the run is stopped. Collective
/// over the run.
class Trainer {
 public:
  Trainer(const TrainerParts& parts, const state::RunState& run);

  Ending run();

  /// Where the run stands.
  [[nodiscard]] const state::RunState& state() const { return run_; }
  /// Of the last epoch that ended here, if any did.
  [[nodiscard]] const std::optional<report::Evaluation>& last_test() const { return last_test_; }

 private:
  Ending train();
  // Steps from where the epoch stands to its end, to --max_steps, or to where the run is stopped.
  void train_epoch(data::Loader& loader);
  engine::StepStats one_step(data::Loader& loader, double lr);
  void record(const engine::StepStats& stats, double lr, double seconds);
  // At the end of a part of a step.
  void mark(const char* part);
  // Of the device, by the names in report::kStepParts, since the last call.
  std::array<double, report::kStepParts.size()> part_seconds();
  void save_if_due();
  [[nodiscard]] std::string step_name() const;
  void save_at_the_end();
  // Saves what is not saved yet, and says why the run stops and how it goes on.
  Ending stop();
  // Evaluates, unless the run is stopped meanwhile: then the epoch stays unfinished. Where nothing is to be saved, the
  // evaluation is gone through with: a run whose jobs were too short for it would never get past it.
  void finish_epoch();
  void record_epoch(const report::Evaluation& test);
  void save_after_epoch(bool improved);
  void save(std::vector<std::string> names);
  void save_last(std::vector<std::string> names);
  [[nodiscard]] bool is_over() const;
  [[nodiscard]] bool at_end_of_epoch() const { return run_.step_in_epoch == run_.steps_per_epoch; }
  [[nodiscard]] bool stops_here();
  [[nodiscard]] double tokens_per_second(std::int64_t images, double seconds) const;
  [[nodiscard]] double mfu(std::int64_t images, double seconds) const;

  TrainerParts parts_;
  state::RunState run_;
  Schedule schedule_;
  model::DropPath drop_path_;
  const std::int64_t first_step_;  // of this process
  std::int64_t last_step_;         // at which the run is over
  RunLog run_log_;
  Progress progress_;
  PartClock part_clock_;
  Stragglers stragglers_;
  std::int64_t micro_step_ = 0;
  Saver saver_;
  Stopwatch since_save_;
  bool best_is_due_ = false;      // the last epoch was the best
  bool due_after_epoch_ = false;  // a save by steps or minutes is, at its last step
  std::optional<report::Evaluation> last_test_;
};

/// --eval: the test set once; tells the outcome. Collective over the run.
void evaluate_once(const TrainerParts& parts);

/// How the loader feeds this run.
data::LoaderSpec loader_spec(const config::RunConfig& config, const Platform& platform);

}  // namespace tessera::train
