#include "train/stopper.hpp"

#include "tessera/core/units.hpp"
#include "train/job_end.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <ctime>

namespace tessera::train {
namespace {

// By rank of importance: where ranks have several, all hear the greatest.
enum Reason : std::int64_t { kNone, kMaxMinutes, kJobEnd, kUserSignal, kTermination };

// What is left of the job for the program's own end, and for what the job does after it.
constexpr double kJobSlackSeconds = 15;

// How soon the longest time between two points is forgotten: the first step, which is long, in a dozen steps.
constexpr double kForgetting = 0.75;

std::string clock_time(std::chrono::system_clock::time_point point) {
  const std::time_t time = std::chrono::system_clock::to_time_t(point);
  std::tm local{};
  ::localtime_r(&time, &local);
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &local)};
}

double seconds_until(std::chrono::system_clock::time_point point) {
  return std::chrono::duration<double>(point - std::chrono::system_clock::now()).count();
}

}  // namespace

Stopper::Stopper(const topology::Group& world, double max_minutes, const core::Log& log)
    : signals_(world.rank() == 0), votes_(world), max_minutes_(max_minutes), keeps_time_(world.rank() == 0) {
  if (keeps_time_) {
    job_end_ = end_of_slurm_job();
  }
  if (job_end_) {
    log.info("the job ends at {}, in {}: the run saves and stops before that", clock_time(*job_end_),
             core::format_duration(std::max(0.0, seconds_until(*job_end_))));
  }
}

bool Stopper::stops_here(double save_seconds) {
  if (since_point_) {
    between_points_ = std::max(since_point_->seconds(), kForgetting * between_points_);
  }
  since_point_.emplace();
  const std::int64_t agreed = votes_.exchange(own_reason(save_seconds));
  reason_ = std::max(reason_, agreed);
  return stops();
}

std::int64_t Stopper::own_reason(double save_seconds) {
  const int signal = signals_.received();
  if (signal != 0) {
    return signal == SIGTERM ? kTermination : kUserSignal;
  }
  if (!keeps_time_) {
    return kNone;
  }
  // To the next point, where all know it, and if not yet now, then to the one after it. A save may have to wait for the
  // one before.
  const double needed = 2 * (between_points_ + save_seconds);
  if (job_end_ && seconds_until(*job_end_) < needed + kJobSlackSeconds) {
    return kJobEnd;
  }
  return max_minutes_ > 0 && since_start_.seconds() + needed > 60 * max_minutes_ ? kMaxMinutes : kNone;
}

std::string Stopper::reason() const {
  switch (reason_) {
    case kMaxMinutes:
      return fmt::format("--max_minutes {}", max_minutes_);
    case kJobEnd:
      return job_end_ ? "the job ends at " + clock_time(*job_end_) : "the job ends";
    default:
      return std::string(core::signal_name(reason_ == kTermination ? SIGTERM : SIGUSR1));
  }
}

std::unique_ptr<Stopper> stopper_of(const config::RunConfig& config, const topology::Group& world,
                                    const core::Log& log) {
  return config.eval_only ? nullptr : std::make_unique<Stopper>(world, config.runtime.max_minutes, log);
}

}  // namespace tessera::train
