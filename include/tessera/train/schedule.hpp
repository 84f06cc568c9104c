#pragma once

#include <cstdint>

namespace tessera::train {

/// Linear warm-up from 0, then half a cosine down to min_lr, per optimizer step (Loshchilov and Hutter 2017; the
/// formula of MAE's lr_sched, with fractional epochs counted in steps).
struct Schedule {
  double peak_lr = 0;
  double min_lr = 0;
  std::int64_t warmup_steps = 0;
  std::int64_t total_steps = 0;

  /// The learning rate of optimizer step `step`, counted from 0.
  [[nodiscard]] double lr(std::int64_t step) const;
};

}  // namespace tessera::train
