#include "engine/sharded_adamw.hpp"

#include <algorithm>
#include <cmath>

namespace tessera::engine {

ShardedAdamW::ShardedAdamW(const Context& context, ParameterBuckets& parameters)
    : context_(context), part_(owned_part(context.options)) {
  for (const model::Param& param : context.table.params) {
    deepest_ = std::max(deepest_, param.depth);
  }
  for (int bucket = 0; bucket < context.num_buckets(); ++bucket) {
    BucketState state;
    const at::Tensor& whole = parameters.whole(bucket);
    state.weight = part_ == Part::kWhole ? whole : context.shard(whole, bucket);
    const std::int64_t size = state.weight.numel();
    const bool is_own_master = context.options.compute == at::kFloat;
    state.master = is_own_master ? state.weight : context.zeros(size, at::kFloat);
    state.exp_avg = context.zeros(size, at::kFloat);
    state.exp_avg_sq = context.zeros(size, at::kFloat);
    state.segments = make_segments(bucket);
    states_.push_back(std::move(state));
  }
}

std::vector<ShardedAdamW::Segment> ShardedAdamW::make_segments(int bucket) const {
  std::vector<Segment> segments;
  const int first = part_ == Part::kWhole ? 0 : context_.collectives.rank();
  const int last = part_ == Part::kWhole ? context_.layout.world - 1 : first;
  for (int rank = first; rank <= last; ++rank) {
    const std::int64_t shard_begin = context_.bucket(bucket).shard_elements * (rank - first);
    for (const ParamRange& range : context_.layout.ranges(context_.table, bucket, rank)) {
      append(segments, range, shard_begin + range.offset);
    }
  }
  return segments;
}

void ShardedAdamW::append(std::vector<Segment>& segments, const ParamRange& range, std::int64_t offset) const {
  const model::Param& param = context_.table.params[static_cast<std::size_t>(range.param)];
  const AdamWOptions& adamw = context_.options.adamw;
  const Segment segment{offset, offset + range.num_elements(), param.decays ? adamw.weight_decay : 0,
                        std::pow(adamw.layer_decay, deepest_ - param.depth)};
  Segment* before = segments.empty() ? nullptr : &segments.back();
  if (before != nullptr && before->end == segment.begin && before->weight_decay == segment.weight_decay &&
      before->lr_scale == segment.lr_scale) {
    before->end = segment.end;
  } else {
    segments.push_back(segment);
  }
}

void ShardedAdamW::update(int bucket, const at::Tensor& gradient, double lr, double gradient_scale, std::int64_t step) {
  const BucketState& state = states_[static_cast<std::size_t>(bucket)];
  const AdamWOptions& adamw = context_.options.adamw;
  const bool is_own_master = context_.options.compute == at::kFloat;
  for (const Segment& segment : state.segments) {
    const auto part = [&segment](const at::Tensor& flat) {
      return flat.narrow(0, segment.begin, segment.end - segment.begin);
    };
    const kernels::AdamWState tensors{part(state.weight), part(gradient),
                                      is_own_master ? at::Tensor() : part(state.master), part(state.exp_avg),
                                      part(state.exp_avg_sq)};
    context_.ops.adamw_step(tensors, {lr * segment.lr_scale, adamw.beta1, adamw.beta2, adamw.eps, segment.weight_decay,
                                      gradient_scale, step});
  }
}

std::vector<OwnedRange> ShardedAdamW::ranges(int bucket, int rank) const {
  const BucketState& state = states_[static_cast<std::size_t>(bucket)];
  const std::int64_t shard_begin = part_ == Part::kWhole ? context_.bucket(bucket).shard_elements * rank : 0;
  std::vector<OwnedRange> owned;
  for (const ParamRange& range : context_.layout.ranges(context_.table, bucket, rank)) {
    const auto part = [&](const at::Tensor& flat) {
      return flat.narrow(0, shard_begin + range.offset, range.num_elements());
    };
    owned.push_back({range.param, range.begin, range.end, part(state.weight), part(state.master), part(state.exp_avg),
                     part(state.exp_avg_sq)});
  }
  return owned;
}

}  // namespace tessera::engine
