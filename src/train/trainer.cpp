#include "train/trainer.hpp"

#include "tessera/core/error.hpp"
#include "tessera/core/progress_board.hpp"
#include "tessera/core/units.hpp"
#include "train/run_files.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>
#include <utility>

namespace tessera::train {
namespace {

constexpr const char* kBest = "best";
constexpr const char* kBetweenSteps = "between";  // evaluations, saves, the log: no part of a step

// Whether a run that is resumed has nothing to save as it stands. One that was stopped before the evaluation of an
// epoch will have.
bool is_saved_state(const state::RunState& run) {
  return run.global_step > 0 && run.step_in_epoch < run.steps_per_epoch;
}

// The part of a step that follows; `more`: another micro-step comes.
const char* part_after(std::string_view part, bool more) {
  if (part == "backward") {
    return more ? "data" : "norm";
  }
  const auto* const found = std::ranges::find(report::kStepParts, part);
  return found == report::kStepParts.end()       ? "data"
         : found + 1 == report::kStepParts.end() ? "between steps"
                                                 : (found + 1)->data();
}

bool evaluates_averages(const config::OptimizerConfig& optimizer) {
  return optimizer.ema_decay > 0 && optimizer.eval_ema;
}

std::optional<EvaluatedSet> evaluate_test_set(const TrainerParts& parts, const std::function<bool()>& stops_here) {
  std::optional<EvaluatedSet> set;
  const auto evaluate = [&] {
    set = evaluate_dataset({parts.model, parts.engine.weights(), parts.test_set, parts.test_loader, parts.platform,
                            parts.log, stops_here});
  };
  if (evaluates_averages(parts.config.optimizer)) {
    parts.engine.with_averages(evaluate);
  } else {
    parts.engine.settle_weights();  // a rank without a test image needs none
    evaluate();
  }
  return set;
}

}  // namespace

data::LoaderSpec loader_spec(const config::RunConfig& config, const Platform& platform) {
  data::LoaderSpec spec;
  spec.batch_size = config.data.batch_size;
  spec.accum_iter = config.data.accum_iter;
  spec.rank = platform.mesh.world.rank();
  spec.world = platform.world();
  spec.seed = config.runtime.seed;
  spec.input_size = config.data.input_size;
  spec.num_workers = config.data.num_workers;
  spec.dtype = platform.compute;
  spec.device = platform.device;
  spec.augment = config.augment;
  spec.plain = config.data.no_augment;
  return spec;
}

void evaluate_once(const TrainerParts& parts) {
  print_evaluation(evaluate_test_set(parts, {})->summary, parts.platform, parts.log);
}

Trainer::Trainer(const TrainerParts& parts, const state::RunState& run)
    : parts_(parts),
      run_(run),
      schedule_{run.peak_lr, run.min_lr, run.warmup_steps, run.total_steps},
      drop_path_{parts.config.model.drop_path, parts.config.model.shape.num_hidden_layers, parts.config.runtime.seed},
      first_step_(run.global_step),
      last_step_(run.total_steps),
      run_log_(parts.platform.is_first() ? RunLog(parts.config.output, run.global_step, run.epoch) : RunLog()),
      progress_(parts.log, parts.config.runtime.steps_per_print),
      part_clock_(parts.platform.device),
      stragglers_(parts.platform.mesh),
      saver_({parts.config.output, parts.platform, parts.log, parts.engine, run_log_,
              is_saved_state(run) ? run.global_step : -1}) {
  if (parts.config.optimizer.max_steps > 0) {
    last_step_ = std::min(last_step_, parts.config.optimizer.max_steps);
  }
  parts.log.info("MFU is of {:.3g} TFLOP/s a rank ({})", parts.platform.peak.flops / 1e12, parts.platform.peak.source);
}

bool Trainer::is_over() const { return run_.global_step >= last_step_; }

bool Trainer::stops_here() { return parts_.stopper->stops_here(saver_.expected_seconds()); }

Ending Trainer::run() {
  try {
    return train();
  } catch (const core::AgreedError&) {
    throw;  // every rank is here, and a save under way ends as the trainer goes
  } catch (const core::AgreedUserError&) {
    throw;
  } catch (...) {
    parts_.platform.watchdog->ends_alone();
    saver_.abandon();
    throw;
  }
}

Ending Trainer::train() {
  data::Loader loader = data::make_training_loader(parts_.train_set, *parts_.platform.ops, parts_.train_loader,
                                                   {run_.epoch, run_.step_in_epoch});
  while (!is_over() || at_end_of_epoch()) {
    train_epoch(loader);
    if (at_end_of_epoch() && !parts_.stopper->stops()) {
      finish_epoch();
    }
    if (parts_.stopper->stops() && (!is_over() || at_end_of_epoch())) {
      return stop();
    }
  }
  save_at_the_end();
  run_log_.finish(run_.epoch);
  parts_.log.info("done: {} steps", run_.global_step);
  return Ending::kDone;
}

Ending Trainer::stop() {
  saver_.settle();
  const std::string at = fmt::format("{}: stopped after {} of {} steps (epoch {})", parts_.stopper->reason(),
                                     run_.global_step, last_step_, run_.epoch);
  if (parts_.config.output.output_dir.empty()) {
    parts_.log.warn("{}; nothing is saved without --output_dir, and the run cannot go on", at);
    return Ending::kLost;
  }
  if (saver_.saved_step() != run_.global_step) {
    save_last({step_name()});
  }
  run_log_.finish(run_.epoch);
  parts_.log.info("{}, which {} holds: the same command with --resume auto goes on from there", at,
                  saver_.saved_path());
  return Ending::kStopped;
}

void Trainer::save_at_the_end() {
  saver_.settle();  // what is under way may be this state
  if (saver_.saved_step() == run_.global_step && !best_is_due_) {
    return;
  }
  const std::string last = run_.global_step == run_.total_steps ? "final" : step_name();
  save_last(best_is_due_ ? std::vector<std::string>{kBest, last} : std::vector<std::string>{last});
}

void Trainer::train_epoch(data::Loader& loader) {
  while (!at_end_of_epoch() && !is_over()) {
    const Stopwatch watch;
    const double lr = schedule_.lr(run_.global_step);
    const engine::StepStats stats = one_step(loader, lr);
    record(stats, lr, watch.seconds());
    saver_.after_step();
    save_if_due();
    if (stops_here()) {
      return;
    }
  }
}

engine::StepStats Trainer::one_step(data::Loader& loader, double lr) {
  const auto next = [this, &loader]() -> engine::MicroBatch {
    std::optional<data::Batch> batch = loader.next();
    core::require(batch.has_value(), "train", "the loader ended in the middle of training");
    engine::MicroBatch micro{
        std::move(batch->images_B3SS),
        {std::move(batch->labels_B), std::move(batch->other_labels_B), std::move(batch->shares_B)}};
    if (drop_path_.rate > 0) {
      micro.branch_scales_L2B =
          model::draw_branch_scales(drop_path_, batch->step.epoch, batch->indices, parts_.platform.device);
    }
    return micro;
  };
  engine::StepOptions options{parts_.config.data.accum_iter, parts_.config.optimizer.smoothing};
  options.mark = [this](const char* part) { mark(part); };
  options.before_update = [this] { saver_.before_update(); };
  if (parts_.engine.forward_changes_state()) {
    saver_.before_update();
  }
  micro_step_ = 0;
  stragglers_.begin_step();
  mark(kBetweenSteps);
  return engine::train_step(parts_.model, parts_.engine, *parts_.platform.ops, options, lr, next);
}

void Trainer::mark(const char* part) {
  part_clock_.mark(part);
  const std::string_view over = part;
  if (over == "backward") {
    ++micro_step_;
  }
  core::ProgressBoard* const board = parts_.platform.mesh.world.board();
  if (board != nullptr) {
    const bool more = micro_step_ < parts_.config.data.accum_iter;
    board->begin_part(run_.global_step, more ? micro_step_ : micro_step_ - 1, part_after(over, more));
  }
}

void Trainer::record(const engine::StepStats& stats, double lr, double seconds) {
  ++run_.global_step;
  ++run_.step_in_epoch;
  run_.optimizer_step = parts_.engine.num_updates();
  run_.skipped_steps += stats.skipped ? 1 : 0;
  run_.epoch_skipped_steps += stats.skipped ? 1 : 0;
  run_.epoch_loss_sum += stats.skipped ? 0 : stats.loss;
  run_.epoch_accuracy_sum += stats.skipped ? 0 : stats.accuracy;
  run_.epoch_lr_sum += lr;
  run_.epoch_seconds += seconds;
  if (stats.skipped) {
    parts_.log.warn("step {} was skipped on every rank: loss {}, gradient norm {}", run_.global_step - 1, stats.loss,
                    stats.grad_norm);
  }
  const report::StepRecord record{run_.global_step - 1,
                                  run_.epoch,
                                  stats.loss,
                                  stats.accuracy,
                                  lr,
                                  stats.grad_norm,
                                  stats.skipped,
                                  seconds,
                                  tokens_per_second(stats.num_images, seconds),
                                  mfu(stats.num_images, seconds),
                                  peak_memory_bytes(parts_.platform.device),
                                  part_seconds()};
  run_log_.step(record);
  stragglers_.add(seconds, record.part_seconds);
  progress_.show({run_.step_in_epoch, run_.steps_per_epoch, last_step_ - run_.global_step}, record);
}

std::array<double, report::kStepParts.size()> Trainer::part_seconds() {
  // Up to where the host has waited for the device anyway, so with the update of the step before.
  const std::map<std::string, double> sums = part_clock_.take_until("norm");
  std::array<double, report::kStepParts.size()> seconds{};
  std::ranges::transform(report::kStepParts, seconds.begin(), [&sums](std::string_view part) {
    const auto found = sums.find(std::string(part));
    return found != sums.end() ? found->second : 0.0;
  });
  return seconds;
}

void Trainer::save_if_due() {
  const config::OutputConfig& output = parts_.config.output;
  bool due = output.save_every_steps > 0 && run_.global_step % output.save_every_steps == 0;
  if (output.save_every_minutes > 0) {
    // Clocks differ: the first rank's decides.
    std::array<double, 1> minutes{parts_.platform.is_first() ? since_save_.seconds() / 60 : 0};
    parts_.platform.mesh.world.max(minutes);
    due = due || minutes[0] >= output.save_every_minutes;
  }
  due_after_epoch_ = due && at_end_of_epoch();  // after its evaluation
  if (due && !at_end_of_epoch() && !is_over()) {
    save({step_name()});
  }
}

std::string Trainer::step_name() const { return fmt::format("step-{}", run_.global_step); }

void Trainer::save(std::vector<std::string> names) {
  saver_.save(std::move(names), run_);
  since_save_.restart();
}

// Throws where it fails, and so ends the run: nothing is to be under way then.
void Trainer::save_last(std::vector<std::string> names) {
  parts_.engine.settle_weights();
  saver_.save_last(std::move(names), run_);
}

void Trainer::finish_epoch() {
  if (evaluates_averages(parts_.config.optimizer)) {
    saver_.before_update();  // the weights change, for a while
  }
  const std::optional<EvaluatedSet> evaluated = evaluate_test_set(
      parts_, run_.global_step > first_step_ ? [this] { return stops_here(); } : std::function<bool()>());
  if (!evaluated) {
    return;
  }
  const report::Evaluation& test = evaluated->summary;
  progress_.evaluated(test.seconds);
  write_evaluation(parts_.config, parts_.platform, *evaluated, parts_.test_set);
  last_test_ = test;
  const bool improved = test.acc1 > run_.best_accuracy;
  run_.best_accuracy = std::max(run_.best_accuracy, test.acc1);
  record_epoch(test);
  ++run_.epoch;
  run_.step_in_epoch = 0;
  run_.epoch_loss_sum = 0;
  run_.epoch_accuracy_sum = 0;
  run_.epoch_lr_sum = 0;
  run_.epoch_seconds = 0;
  run_.epoch_skipped_steps = 0;
  save_after_epoch(improved);
}

void Trainer::record_epoch(const report::Evaluation& test) {
  const auto steps = static_cast<double>(run_.steps_per_epoch);
  const auto taken = static_cast<double>(run_.steps_per_epoch - run_.epoch_skipped_steps);  // 0 of them: no number
  const std::int64_t images = run_.steps_per_epoch * run_.effective_batch;
  const report::EpochRecord record{run_.epoch_lr_sum / steps,
                                   run_.epoch_accuracy_sum / taken,
                                   run_.epoch_loss_sum / taken,
                                   test.loss,
                                   test.acc1,
                                   test.acc5,
                                   run_.epoch,
                                   run_.global_step,
                                   parts_.workload.num_parameters,
                                   parts_.workload.num_trained,
                                   run_.epoch_seconds,
                                   test.seconds,
                                   tokens_per_second(images, run_.epoch_seconds),
                                   mfu(images, run_.epoch_seconds),
                                   peak_memory_bytes(parts_.platform.device),
                                   run_.skipped_steps};
  run_log_.epoch(record);
  parts_.log.info(
      "epoch {}: train loss {:.4f} acc {:.2f}% | test loss {:.4f} acc1 {:.2f}% acc5 {:.2f}% on {} images{} | {}",
      run_.epoch, record.train_loss, record.train_acc1, test.loss, test.acc1, test.acc5, test.num_images,
      evaluates_averages(parts_.config.optimizer) ? ", by the averages" : "",
      core::format_duration(record.seconds + record.eval_seconds));
  if (const std::string slowest = stragglers_.take(); !slowest.empty()) {
    parts_.log.info("epoch {}: {}", run_.epoch, slowest);
  }
}

void Trainer::save_after_epoch(bool improved) {
  const config::OutputConfig& output = parts_.config.output;
  const bool best = output.keep_best && improved;
  const bool by_epochs = output.save_every_epochs > 0 && run_.epoch % output.save_every_epochs == 0;
  const bool due = (by_epochs && run_.global_step < run_.total_steps) || (due_after_epoch_ && !is_over());
  std::vector<std::string> names;
  if (best && (due || !is_over())) {
    names.emplace_back(kBest);
  }
  if (due) {
    names.push_back(by_epochs ? fmt::format("{}", run_.epoch) : step_name());  // last, so that `latest` names it
  }
  if (!names.empty()) {
    save(std::move(names));
  }
  best_is_due_ = best && !due && is_over();
}

double Trainer::tokens_per_second(std::int64_t images, double seconds) const {
  return static_cast<double>(images * parts_.workload.tokens_per_image) / seconds;
}

double Trainer::mfu(std::int64_t images, double seconds) const {
  return parts_.workload.flops_per_image * static_cast<double>(images) / seconds /
         (parts_.platform.peak.flops * parts_.platform.world());
}

}  // namespace tessera::train
