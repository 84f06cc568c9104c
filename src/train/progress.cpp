#include "train/progress.hpp"

#include "tessera/core/units.hpp"

namespace tessera::train {
namespace {

constexpr double kForget = 0.05;  // weight of the latest step in the running mean of its duration
constexpr double kStatusSeconds = 0.1;

}  // namespace

void Progress::show(const ProgressStep& step, const StepRecord& record) {
  ++num_steps_;
  loss_sum_ += record.loss;
  accuracy_sum_ += step.accuracy;
  mean_seconds_ = mean_seconds_ == 0 ? record.seconds : (1 - kForget) * mean_seconds_ + kForget * record.seconds;
  const bool lasting = step.step_in_epoch % every_ == 0 || step.step_in_epoch == step.steps_per_epoch;
  if (!lasting && since_status_.seconds() < kStatusSeconds) {
    return;
  }
  const auto count = static_cast<double>(num_steps_);
  const std::string line = fmt::format(
      "epoch {} [{:>{}}/{}] loss {:.4f} acc {:.1f}% lr {:.2e} norm {:.2f} | {} tok/s mfu {:.1f}% mem {} eta {}",
      record.epoch, step.step_in_epoch, std::to_string(step.steps_per_epoch).size(), step.steps_per_epoch,
      loss_sum_ / count, accuracy_sum_ / count, record.lr, record.grad_norm,
      core::format_count(static_cast<std::int64_t>(record.tokens_per_s)), 100 * record.mfu,
      core::format_bytes(static_cast<double>(record.peak_bytes)),
      core::format_duration(mean_seconds_ * static_cast<double>(step.steps_left)));
  if (lasting) {
    log_.info("{}", line);
    num_steps_ = 0;
    loss_sum_ = 0;
    accuracy_sum_ = 0;
  } else {
    log_.status(line);
  }
  since_status_.restart();
}

}  // namespace tessera::train
