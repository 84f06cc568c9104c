#include "train/progress.hpp"

#include <algorithm>
#include <cmath>

namespace tessera::train {
namespace {

constexpr double kForget = 0.05;  // weight of the latest step in the running mean of its duration
constexpr double kStatusSeconds = 0.1;

}  // namespace

ProgressFigures Progress::figures(const ProgressStep& step, const report::StepRecord& record) const {
  double loss = 0;
  double accuracy = 0;
  for (const Recent& recent : recent_) {
    loss += recent.loss;
    accuracy += recent.accuracy;
  }
  const auto count = static_cast<double>(recent_.size());
  const double evaluations =
      static_cast<double>(step.step_in_epoch + step.steps_left) / static_cast<double>(step.steps_per_epoch);
  return {record.epoch,
          step.step_in_epoch,
          step.steps_per_epoch,
          loss / count,
          accuracy / count,
          record.lr,
          record.grad_norm,
          record.tokens_per_s * record.seconds / mean_seconds_,
          record.mfu * record.seconds / mean_seconds_,
          record.peak_bytes,
          mean_seconds_ * static_cast<double>(std::min(step.steps_per_epoch - step.step_in_epoch, step.steps_left)),
          mean_seconds_ * static_cast<double>(step.steps_left) + evaluation_seconds_ * std::floor(evaluations)};
}

void Progress::show(const ProgressStep& step, const report::StepRecord& record) {
  recent_.push_back({record.loss, record.accuracy});
  if (recent_.size() > every_) {
    recent_.pop_front();
  }
  ++num_steps_;
  // The first step also warms up, and is forgotten with the second.
  const double weight = num_steps_ <= 2 ? 1 : std::max(kForget, 1.0 / static_cast<double>(num_steps_ - 1));
  mean_seconds_ += weight * (record.seconds - mean_seconds_);
  const bool lasting = step.step_in_epoch % static_cast<std::int64_t>(every_) == 0 ||
                       step.step_in_epoch == step.steps_per_epoch || step.steps_left == 0;
  if (!log_.is_live() && lasting) {
    log_.info("{}", plain_line(figures(step, record)));
  } else if (log_.is_live() && (since_status_.seconds() >= kStatusSeconds || step.steps_left == 0)) {
    log_.status(live_line(figures(step, record), style_of(log_.terminal())));
    since_status_.restart();
  }
}

}  // namespace tessera::train
