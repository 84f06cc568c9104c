#pragma once

#include "engine/context.hpp"
#include "engine/gradient_buckets.hpp"
#include "engine/optimizer_state.hpp"
#include "engine/parameter_buckets.hpp"
#include "engine/state_ring.hpp"
#include "tessera/state/state_view.hpp"

#include <ATen/core/Tensor.h>

#include <optional>
#include <span>
#include <vector>

namespace tessera::engine {

/// One parameter's stretch of the part of a bucket that this rank owns. All tensors are views.
struct OwnedRange {
  int param = 0;
  std::int64_t begin = 0;  ///< elements of the parameter
  std::int64_t end = 0;
  OptimizerState state;
};

/// The optimizer over the part of every bucket that this rank owns: its shard (stages 1, 2), or all of it (stage 0).
/// Its weights are those that the model computes with. The rest of its state is updated on the device; of offloaded
/// buckets it is at home in pinned host memory, and passes through a StateRing.
class ShardedOptimizer {
 public:
  ShardedOptimizer(const Context& context, ParameterBuckets& parameters);

  /// LARS: the sums of which trust ratios are made, of this rank's shards. [parameters, 3], and add_trust_sums() adds
  /// those of a bucket; without rows for other optimizers.
  [[nodiscard]] at::Tensor make_trust_sums() const;
  void add_trust_sums(int bucket, const at::Tensor& gradient, at::Tensor& sums) const;
  /// The same, summed over the ranks, before the buckets are updated.
  void set_trust_sums(std::span<const double> sums);

  /// What update() takes for every bucket alike.
  struct Step {
    double lr = 0;
    double gradient_scale = 1;
    std::int64_t number = 1;  ///< from 1
  };
  /// Updates the owned part of a bucket from its reduced gradient. What is offloaded is at home some time after that.
  void update(int bucket, const at::Tensor& gradient, const Step& step);

  /// The owned part of a bucket's weights, and of their averages.
  [[nodiscard]] const at::Tensor& weight(int bucket) const { return state_of(bucket).parameter.weight; }
  [[nodiscard]] const at::Tensor& average(int bucket) const { return state_of(bucket).average; }
  /// The calling thread waits until everything that is offloaded is at home.
  void settle_host_memory() const;

  /// What a checkpoint holds of each parameter. A bf16 weight comes before the fp32 master, whose restoring sets both.
  [[nodiscard]] const std::vector<state::Component>& components() const { return components_; }
  /// What elements of a component are: fp32 masters are kept in halves, and fp32 moments may be so in 8 bits.
  [[nodiscard]] core::DType dtype_of(state::Component component) const;
  /// One component of a range, without what only the parameter's table knows (name and shape).
  [[nodiscard]] state::StateView view(const OwnedRange& range, std::size_t component) const;
  /// Everything of `bucket` that `rank` answers for. At stage 0 every rank holds all of it, and `rank` may be any.
  [[nodiscard]] std::vector<OwnedRange> ranges(int bucket, int rank) const;

 private:
  // Neighbouring elements that share decay and learning rate (and, where LARS has one of each, the parameter): one
  // kernel each.
  struct Segment {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    int param = 0;
    bool is_mine = true;  // of this rank's shard
    double weight_decay = 0;
    double lr_scale = 1;
  };
  // Of the owned part.
  struct BucketState {
    OptimizerState kept;
    std::vector<Segment> segments;
    std::int64_t first_element = 0;  // among all: see Bucket
    SideStream::Done at_home;        // where it is offloaded
  };
  [[nodiscard]] const BucketState& bucket_of(int bucket) const { return buckets_[static_cast<std::size_t>(bucket)]; }
  [[nodiscard]] const OptimizerState& state_of(int bucket) const { return bucket_of(bucket).kept; }

  [[nodiscard]] bool is_lars() const { return context_.options.optimizer.kind == config::OptimizerKind::kLars; }
  [[nodiscard]] bool is_split() const { return context_.options.compute != at::kFloat; }
  [[nodiscard]] std::vector<Segment> make_segments(int bucket) const;
  void append(std::vector<Segment>& segments, const Segment& segment) const;
  void update(const BucketState& bucket, const StateChunk& chunk, const Step& step) const;
  void update(const Segment& segment, const StateChunk& part, std::int64_t first_element, const Step& step) const;
  [[nodiscard]] double trust_ratio(const Segment& segment, double gradient_scale) const;

  const Context& context_;
  Part part_;
  int deepest_ = 0;
  std::vector<state::Component> components_;
  std::vector<BucketState> buckets_;
  std::optional<StateRing> ring_;  // where something is offloaded
  std::vector<double> trust_sums_;
};

}  // namespace tessera::engine
