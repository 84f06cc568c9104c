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
    BucketState state;
    const at::Tensor& whole = parameters.whole(bucket);
    const at::Tensor part = part_ == Part::kWhole ? whole : context.shard(whole, bucket);
    const std::int64_t size = part.numel();
    const auto zeros = [&](at::ScalarType dtype) { return context.state_zeros(bucket, size, dtype); };
    state.parameter = {part, is_split() ? zeros(at::kShort) : at::Tensor()};
    state.average = context.options.averages() ? zeros(at::kFloat) : at::Tensor();
    for (std::size_t moment = 0; moment < moments.size(); ++moment) {
      state.moments.push_back(zero_moment(bucket, size));
    }
    state.first_element =
        context.bucket(bucket).first_element + (part_ == Part::kWhole ? 0 : size * context.collectives.rank());
    state.segments = make_segments(bucket);
    states_.push_back(std::move(state));
  }
}

kernels::Moment ShardedOptimizer::zero_moment(int bucket, std::int64_t size) const {
  const auto zeros = [&](std::int64_t count, at::ScalarType type) { return context_.state_zeros(bucket, count, type); };
  switch (context_.options.optimizer.state_dtype) {
    case config::StateDType::kFloat32:
      return zeros(size, at::kFloat);
    case config::StateDType::kBFloat16:
      return zeros(size, at::kBFloat16);
    case config::StateDType::k8Bit:
      break;
  }
  return {zeros(size, at::kByte), zeros(core::num_scale_blocks(size), at::kFloat)};
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
  const BucketState& state = states_[static_cast<std::size_t>(bucket)];
  for (const Segment& segment : state.segments) {
    if (segment.is_mine && context_.table.params[static_cast<std::size_t>(segment.param)].decays) {
      const std::int64_t size = segment.end - segment.begin;
      at::Tensor row = sums.select(0, segment.param);
      context_.ops.add_trust_sums(kernels::narrow(state.parameter, segment.begin, size),
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
  const BucketState& state = states_[static_cast<std::size_t>(bucket)];
  for (const Segment& segment : state.segments) {
    update(bucket, segment, gradient, step);
  }
  if (state.average.defined()) {
    context_.ops.update_average(state.parameter, state.average, context_.options.average_decay);
  }
}

void ShardedOptimizer::update(int bucket, const Segment& segment, const at::Tensor& gradient, const Step& step) const {
  const BucketState& state = state_of(bucket);
  const kernels::Ops& ops = context_.ops;
  const OptimizerOptions& options = context_.options.optimizer;
  const std::int64_t size = segment.end - segment.begin;
  const auto part = [&](const at::Tensor& flat) { return flat.narrow(0, segment.begin, size); };
  const auto moment = [&](std::size_t i) { return kernels::narrow(state.moments[i], segment.begin, size); };
  const kernels::Parameter parameter = kernels::narrow(state.parameter, segment.begin, size);
  const double lr = step.lr * segment.lr_scale;
  if (options.kind == config::OptimizerKind::kAdamW) {
    ops.adamw_step(
        {parameter, part(gradient), moment(0), moment(1), state.first_element + segment.begin},
        {lr, options.beta1, options.beta2, options.eps, segment.weight_decay, step.gradient_scale, step.number});
  } else {
    ops.momentum_step({parameter, part(gradient), moment(0), state.first_element + segment.begin},
                      {lr, options.momentum, segment.weight_decay, step.gradient_scale,
                       trust_ratio(segment, step.gradient_scale), step.number});
  }
}

std::vector<OwnedRange> ShardedOptimizer::ranges(int bucket, int rank) const {
  const BucketState& state = states_[static_cast<std::size_t>(bucket)];
  const std::int64_t shard_begin = part_ == Part::kWhole ? context_.bucket(bucket).shard_elements * rank : 0;
  std::vector<OwnedRange> owned;
  for (const ParamRange& range : context_.layout.ranges(context_.table, bucket, rank)) {
    const std::int64_t first = shard_begin + range.offset;
    const std::int64_t size = range.num_elements();
    OwnedRange mine{range.param, range.begin, range.end, kernels::narrow(state.parameter, first, size), {}, {}};
    if (state.average.defined()) {
      mine.average = state.average.narrow(0, first, size);
    }
    for (const kernels::Moment& moment : state.moments) {
      mine.moments.push_back(kernels::narrow(moment, first, size));
    }
    owned.push_back(std::move(mine));
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
    view.data = range.parameter.weight.mutable_data_ptr();
  } else if (view.component == state::Component::kMaster) {
    view.data = range.parameter.weight.mutable_data_ptr();
    view.low = range.parameter.low.mutable_data_ptr();
  } else if (view.component == state::Component::kAverage) {
    view.data = range.average.mutable_data_ptr();
  } else {
    const std::size_t num_others = components_.size() - range.moments.size();
    const kernels::Moment& moment = range.moments[component - num_others];
    view.data = moment.values.mutable_data_ptr();
    view.scales = moment.scales.defined() ? moment.scales.mutable_data_ptr() : nullptr;
  }
  return view;
}

}  // namespace tessera::engine
