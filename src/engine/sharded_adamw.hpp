#pragma once

#include "engine/context.hpp"
#include "engine/gradient_buckets.hpp"
#include "engine/parameter_buckets.hpp"

#include <ATen/core/Tensor.h>

#include <vector>

namespace tessera::engine {

/// One parameter's stretch of the part of a bucket that this rank owns, and its fp32 state. All are flat views.
struct OwnedRange {
  int param = 0;
  std::int64_t begin = 0;  ///< elements of the parameter
  std::int64_t end = 0;
  at::Tensor weight;
  at::Tensor master;  ///< the weight itself where that is fp32
  at::Tensor exp_avg;
  at::Tensor exp_avg_sq;
};

/// AdamW over the part of every bucket that this rank owns: its shard (stages 1, 2), or all of it (stage 0).
class ShardedAdamW {
 public:
  ShardedAdamW(const Context& context, ParameterBuckets& parameters);

  /// Updates the owned part of a bucket from its reduced gradient.
  void update(int bucket, const at::Tensor& gradient, double lr, double gradient_scale, std::int64_t step);

  /// Everything of `bucket` that `rank` answers for. At stage 0 every rank holds all of it, and `rank` may be any.
  [[nodiscard]] std::vector<OwnedRange> ranges(int bucket, int rank) const;

 private:
  // Neighbouring elements that share decay and learning rate: one kernel each.
  struct Segment {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    double weight_decay = 0;
    double lr_scale = 1;
  };
  // Flat and as long as the owned part.
  struct BucketState {
    at::Tensor weight;
    at::Tensor master;
    at::Tensor exp_avg;
    at::Tensor exp_avg_sq;
    std::vector<Segment> segments;
  };

  [[nodiscard]] std::vector<Segment> make_segments(int bucket) const;
  void append(std::vector<Segment>& segments, const ParamRange& range, std::int64_t offset) const;

  const Context& context_;
  Part part_;
  int deepest_ = 0;
  std::vector<BucketState> states_;
};

}  // namespace tessera::engine
