#include "engine/sharded_optimizer.hpp"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

namespace tessera::engine {
namespace {

constexpr std::int64_t kTrustSums = 3;  // a parameter: of p^2, p g and g^2

std::vector<state::Component> moments_of(config::OptimizerKind kind) {
  if (kind == config::OptimizerKind::kAdamW) {
    return {state::Component::kExpAvg, state::Component::kExpAvgSq};
  }
  return {state::Component::kMomentumBuffer};
}

}  // namespace

ShardedOptimizer::ShardedOptimizer(const Context& context, ParameterBuckets& parameters)
    : context_(context), part_(owned_part(context.options)), components_{state::Component::kWeight} {
  if (context.options.optimizer.state_dtype == config::StateDType::k8Bit) {
    check_scale_blocks(context.table);
  }
  for (const model::Param& param : context.table.params) {
    deepest_ = std::max(deepest_, param.depth);
  }
  if (is_split()) {
    components_.push_back(state::Component::kMaster);
  }
  const std::vector<state::Component> moments = moments_of(context.options.optimizer.kind);
  if (context.options.averages()) {
    components_.push_back(state::Component::kAverage);
  }
  components_.insert(components_.end(), moments.begin(), moments.end());
  for (int bucket = 0; bucket < context.num_buckets(); ++bucket) {
    const at::Tensor& whole = parameters.whole(bucket);
    const at::Tensor weight = part_ == Part::kWhole ? whole : context.shard(whole, bucket);
    const std::int64_t size = weight.numel();
    BucketState state;
    state.kept = make_state(context.options, size, [&](std::int64_t count, at::ScalarType dtype) {
      return context.state_zeros(bucket, count, dtype);
    });
    state.kept.parameter.weight = weight;
    state.first_element =
        context.bucket(bucket).first_element + (part_ == Part::kWhole ? 0 : size * context.collectives.rank());
    state.segments = make_segments(bucket);
    buckets_.push_back(std::move(state));
  }
  if (context.num_on_host > 0) {
    ring_.emplace(context);
  }
}

std::vector<ShardedOptimizer::Segment> ShardedOptimizer::make_segments(int bucket) const {
  const OptimizerOptions& options = context_.options.optimizer;
  std::vector<Segment> segments;
  const int first = part_ == Part::kWhole ? 0 : context_.collectives.rank();
  const int last = part_ == Part::kWhole ? context_.layout.world - 1 : first;
  for (int rank = first; rank <= last; ++rank) {
    const std::int64_t shard_begin = context_.bucket(bucket).shard_elements * (rank - first);
    for (const ParamRange& range : context_.layout.ranges(context_.table, bucket, rank)) {
      const model::Param& param = context_.table.params[static_cast<std::size_t>(range.param)];
      const std::int64_t begin = shard_begin + range.offset;
      append(segments,
             {begin, begin + range.num_elements(), range.param, rank == context_.collectives.rank(),
              param.decays ? options.weight_decay : 0, std::pow(options.layer_decay, deepest_ - param.depth)});
    }
  }
  return segments;
}

void ShardedOptimizer::append(std::vector<Segment>& segments, const Segment& segment) const {
  Segment* before = segments.empty() ? nullptr : &segments.back();
  if (before != nullptr && !is_lars() && before->end == segment.begin && before->weight_decay == segment.weight_decay &&
      before->lr_scale == segment.lr_scale) {
    before->end = segment.end;
  } else {
    segments.push_back(segment);
  }
}

at::Tensor ShardedOptimizer::make_trust_sums() const {
  const auto rows = is_lars() ? static_cast<std::int64_t>(context_.table.params.size()) : 0;
  return at::zeros({rows, kTrustSums}, at::TensorOptions().dtype(at::kDouble).device(context_.options.device));
}

void ShardedOptimizer::add_trust_sums(int bucket, const at::Tensor& gradient, at::Tensor& sums) const {
  if (!is_lars()) {
    return;
  }
  const BucketState& of = bucket_of(bucket);
  of.at_home.block_current();
  for (const Segment& segment : of.segments) {
    if (segment.is_mine && context_.table.params[static_cast<std::size_t>(segment.param)].decays) {
      const std::int64_t size = segment.end - segment.begin;
      at::Tensor row = sums.select(0, segment.param);
      context_.ops.add_trust_sums(kernels::narrow(of.kept.parameter, segment.begin, size),
                                  gradient.narrow(0, segment.begin, size), row);
    }
  }
}

void ShardedOptimizer::set_trust_sums(std::span<const double> sums) { trust_sums_.assign(sums.begin(), sums.end()); }

// MAE's util/lars.py: trust_coefficient |p| / |g + wd p| for matrices, 1 where a norm is 0 and for norms and biases.
double ShardedOptimizer::trust_ratio(const Segment& segment, double gradient_scale) const {
  if (!is_lars() || !context_.table.params[static_cast<std::size_t>(segment.param)].decays) {
    return 1;
  }
  const double* const sums = &trust_sums_.at(static_cast<std::size_t>(segment.param * kTrustSums));
  const double decay = segment.weight_decay;
  const double parameter = std::sqrt(sums[0]);
  const double change = std::sqrt(std::max(
      0.0, gradient_scale * gradient_scale * sums[2] + 2 * gradient_scale * decay * sums[1] + decay * decay * sums[0]));
  return parameter > 0 && change > 0 ? context_.options.optimizer.trust_coefficient * parameter / change : 1;
}

void ShardedOptimizer::update(int bucket, const at::Tensor& gradient, const Step& step) {
  BucketState& of = buckets_[static_cast<std::size_t>(bucket)];
  if (context_.is_on_host(bucket)) {
    ring_->pass(of.kept, gradient, of.at_home, [&](const StateChunk& chunk) { update(of, chunk, step); });
  } else {
    update(of, {0, of.kept, gradient}, step);
  }
}

void ShardedOptimizer::update(const BucketState& bucket, const StateChunk& chunk, const Step& step) const {
  for (const Segment& segment : bucket.segments) {
    const std::int64_t begin = std::max(segment.begin, chunk.begin);
    const std::int64_t end = std::min(segment.end, chunk.begin + chunk.gradient.numel());
    if (begin < end) {
      const std::int64_t offset = begin - chunk.begin;
      update(segment, {begin, narrow(chunk.state, offset, end - begin), chunk.gradient.narrow(0, offset, end - begin)},
             bucket.first_element + begin, step);
    }
  }
  if (chunk.state.average.defined()) {
    context_.ops.update_average(chunk.state.parameter, chunk.state.average, context_.options.average_decay);
  }
}

void ShardedOptimizer::update(const Segment& segment, const StateChunk& part, std::int64_t first_element,
                              const Step& step) const {
  const OptimizerOptions& options = context_.options.optimizer;
  const OptimizerState& state = part.state;
  const double lr = step.lr * segment.lr_scale;
  if (options.kind == config::OptimizerKind::kAdamW) {
    context_.ops.adamw_step(
        {state.parameter, part.gradient, state.moments[0], state.moments[1], first_element},
        {lr, options.beta1, options.beta2, options.eps, segment.weight_decay, step.gradient_scale, step.number});
  } else {
    context_.ops.momentum_step({state.parameter, part.gradient, state.moments[0], first_element},
                               {lr, options.momentum, segment.weight_decay, step.gradient_scale,
                                trust_ratio(segment, step.gradient_scale), step.number});
  }
}

void ShardedOptimizer::settle_host_memory() const {
  if (ring_) {
    ring_->synchronize();
  }
}

std::vector<OwnedRange> ShardedOptimizer::ranges(int bucket, int rank) const {
  const std::int64_t shard_begin = part_ == Part::kWhole ? context_.bucket(bucket).shard_elements * rank : 0;
  std::vector<OwnedRange> owned;
  for (const ParamRange& range : context_.layout.ranges(context_.table, bucket, rank)) {
    owned.push_back({range.param, range.begin, range.end,
                     narrow(state_of(bucket), shard_begin + range.offset, range.num_elements())});
  }
  return owned;
}

core::DType ShardedOptimizer::dtype_of(state::Component component) const {
  if (component == state::Component::kWeight) {
    return to_dtype(context_.options.compute);
  }
  const bool is_bf16 = context_.options.optimizer.state_dtype == config::StateDType::kBFloat16;
  return state::is_moment(component) && is_bf16 ? core::DType::kBFloat16 : core::DType::kFloat32;
}

state::StateView ShardedOptimizer::view(const OwnedRange& range, std::size_t component) const {
  state::StateView view;
  view.component = components_[component];
  view.dtype = dtype_of(view.component);
  view.begin = range.begin;
  view.end = range.end;
  if (view.component == state::Component::kWeight) {
    view.data = range.state.parameter.weight.mutable_data_ptr();
  } else if (view.component == state::Component::kMaster) {
    view.data = range.state.parameter.weight.mutable_data_ptr();
    view.low = range.state.parameter.low.mutable_data_ptr();
  } else if (view.component == state::Component::kAverage) {
    view.data = range.state.average.mutable_data_ptr();
  } else {
    const std::size_t num_others = components_.size() - range.state.moments.size();
    const kernels::Moment& moment = range.state.moments[component - num_others];
    view.data = moment.values.mutable_data_ptr();
    view.scales = moment.scales.defined() ? moment.scales.mutable_data_ptr() : nullptr;
  }
  return view;
}

}  // namespace tessera::engine
