#include "tessera/engine/engine.hpp"

#include "engine/context.hpp"
#include "engine/gradient_buckets.hpp"
#include "engine/gradient_sums.hpp"
#include "engine/initialise.hpp"
#include "engine/parameter_buckets.hpp"
#include "engine/sharded_optimizer.hpp"
#include "engine/whole_weights.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/progress_board.hpp"
#include "tessera/engine/side_stream.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <span>
#include <utility>

namespace tessera::engine {
namespace {

// The frozen units and the trained ones behind them, by their place in the whole table.
class AllWeights final : public model::Weights {
 public:
  AllWeights(model::Weights* frozen, model::Weights& trained, int num_frozen)
      : frozen_(frozen), trained_(trained), num_frozen_(num_frozen) {}

  at::Tensor weight(int unit) override {
    return unit < num_frozen_ ? frozen_->weight(unit) : trained_.weight(unit - num_frozen_);
  }

 private:
  model::Weights* frozen_;
  model::Weights& trained_;
  int num_frozen_;
};

class TrainedGradients final : public model::Gradients {
 public:
  TrainedGradients(model::Gradients& gradients, int num_frozen) : gradients_(gradients), num_frozen_(num_frozen) {}

  kernels::GradientTarget target(int unit) override { return gradients_.target(place(unit)); }
  void ready(int unit) override { gradients_.ready(place(unit)); }

 private:
  [[nodiscard]] int place(int unit) const {
    core::require(unit >= num_frozen_, "engine", "unit {} is frozen and has no gradient", unit);
    return unit - num_frozen_;
  }

  model::Gradients& gradients_;
  int num_frozen_;
};

}  // namespace

class Engine::Impl {
 public:
  Impl(const EngineParts& parts, const EngineOptions& options)
      : group(parts.group),
        tables(model::split_table(parts.table, parts.num_frozen_units)),
        side(options.offload > 0 ? std::make_unique<SideStream>(options.device) : nullptr),
        context{tables.rest,       make_shard_layout(tables.rest, parts.collectives.size(), options.bucket_elements),
                parts.collectives, parts.ops,
                options,           side.get()},
        parameters(context),
        gradients(make_gradient_buckets(
            context, [this](int bucket, const at::Tensor& shard) { gradient_sums.add(bucket, shard); })),
        optimizer(context, parameters),
        gradient_sums(context, optimizer),
        frozen(parts.num_frozen_units > 0 ? std::make_unique<WholeWeights>(parts, tables.before, options) : nullptr),
        buffers(parts.buffers),
        all_weights(frozen.get(), parameters, parts.num_frozen_units),
        trained_gradients(*gradients, parts.num_frozen_units) {}

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() = default;

  // Buckets in the order in which the next forward pass needs them.
  template <class Function>
  void in_forward_order(Function function) {
    for (int bucket = context.num_buckets() - 1; bucket >= 0; --bucket) {
      function(bucket);
    }
  }

  // Summed over the ranks, on the host.
  struct Sums {
    double squares = 0;  // of the reduced gradient
    std::vector<double> metrics;
    bool all_finite = true;
  };
  // Gives the optimizer its own.
  Sums sums_over_ranks(const at::Tensor& metrics);
  void update(double lr, double gradient_scale);
  [[nodiscard]] double clip_factor(double norm) const;
  void count_skip(double norm);
  // What is offloaded is for the calling thread to read and write, which no stream orders.
  void settle_host_memory() {
    if (side) {
      parameters.begin_updates();
      side->follow_current();
      side->synchronize();
      optimizer.settle_host_memory();
    }
  }
  // What a rank owns of the weights arrives on every other.
  void gather_all();
  // Copies of what is owned, for a while, where gradients are between steps.
  std::vector<at::Tensor> put_weights_aside();

  // What these ranks answer for; of the buffers each rank has all, and the first one answers for them.
  [[nodiscard]] state::StateDescription describe(const std::vector<int>& ranks, bool has_buffers) const;

  const topology::Group group;
  const model::SplitTable tables;          // frozen, trained
  const std::unique_ptr<SideStream> side;  // where something is offloaded
  const Context context;                   // of what is trained
  ParameterBuckets parameters;
  std::unique_ptr<GradientBuckets> gradients;
  ShardedOptimizer optimizer;
  GradientSums gradient_sums;                  // of the step under way
  const std::unique_ptr<WholeWeights> frozen;  // null where nothing is
  const std::vector<NamedBuffer> buffers;
  AllWeights all_weights;
  TrainedGradients trained_gradients;
  std::int64_t num_updates = 0;
  std::int64_t skipped_in_a_row = 0;
};

Engine::Impl::Sums Engine::Impl::sums_over_ranks(const at::Tensor& metrics) {
  for (int bucket = 0; bucket < context.num_buckets(); ++bucket) {
    const at::Tensor gradient = gradients->reduced(bucket);
    if (!context.gradient_is_on_host(bucket)) {  // of those it was done as they left
      gradient_sums.add(bucket, gradient);
    }
  }
  std::vector<double> all = [&] {
    const core::ProgressBoard::Wait waiting(group.board(), {"the device's work of this step, with all reductions"});
    return gradient_sums.with(metrics);
  }();
  group.sum(all);
  const std::span<const double> rest = std::span(all).subspan(1);
  const auto num_metrics = static_cast<std::size_t>(metrics.numel());
  optimizer.set_trust_sums(rest.subspan(num_metrics));
  return {all[0], {rest.begin(), rest.begin() + metrics.numel()}, std::ranges::all_of(all, [](double sum) {
            return std::isfinite(sum);
          })};
}

// As torch.nn.utils.clip_grad_norm_.
double Engine::Impl::clip_factor(double norm) const {
  const double bound = context.options.clip_norm;
  return bound > 0 ? std::min(1.0, bound / (norm + 1e-6)) : 1.0;
}

void Engine::Impl::count_skip(double norm) {
  ++skipped_in_a_row;
  core::require<core::AgreedError>(
      skipped_in_a_row < context.options.max_skipped_in_a_row, "engine",
      "{} steps in a row had a loss or gradient that is not finite (gradient norm {}); lower the learning rate, check "
      "the data, or resume from an earlier checkpoint",
      skipped_in_a_row, norm);
}

void Engine::Impl::update(double lr, double gradient_scale) {
  ++num_updates;
  const ShardedOptimizer::Step step{lr, gradient_scale, num_updates};
  // What is offloaded waits for the bus, and for nothing that is updated without it.
  if (side) {
    side->follow_current();
  }
  in_forward_order([&](int bucket) {
    const at::Tensor gradient = gradients->reduced(bucket);
    if (context.is_on_host(bucket)) {
      parameters.update_aside(bucket, [this, bucket, gradient, step] { optimizer.update(bucket, gradient, step); });
      return;
    }
    optimizer.update(bucket, gradient, step);
    if (owned_part(context.options) == Part::kShard) {
      parameters.gather(bucket);
    }
  });
}

void Engine::Impl::gather_all() {
  if (owned_part(context.options) == Part::kShard) {
    in_forward_order([&](int bucket) { parameters.gather(bucket); });
    parameters.wait_for_all();
  }
}

std::vector<at::Tensor> Engine::Impl::put_weights_aside() {
  std::vector<at::Tensor> aside;
  for (int bucket = 0; bucket < context.num_buckets(); ++bucket) {
    const at::Tensor& weight = optimizer.weight(bucket);
    const at::Tensor room = gradients->reduced(bucket);
    const bool is_exact = room.element_size() >= weight.element_size();  // not fp32 in the place of bf16
    aside.push_back(is_exact ? room.copy_(weight) : weight.clone());
  }
  return aside;
}

state::StateDescription Engine::Impl::describe(const std::vector<int>& ranks, bool has_buffers) const {
  const std::vector<state::Component>& components = optimizer.components();
  state::StateDescription description;
  for (const model::Param& param : context.table.params) {
    for (const state::Component component : components) {
      description.tensors.push_back({param.name, component, optimizer.dtype_of(component), param.shape});
    }
  }
  for (int bucket = 0; bucket < context.num_buckets(); ++bucket) {
    for (const int rank : ranks) {
      for (const OwnedRange& range : optimizer.ranges(bucket, rank)) {
        const model::Param& param = context.table.params[static_cast<std::size_t>(range.param)];
        for (std::size_t i = 0; i < components.size(); ++i) {
          state::StateView view = optimizer.view(range, i);
          view.parameter = param.name;
          view.global_shape = param.shape;
          description.mine.push_back(std::move(view));
        }
      }
    }
  }
  if (frozen) {
    frozen->describe(description);
  }
  for (const NamedBuffer& buffer : buffers) {
    const std::vector<std::int64_t> shape = buffer.values.sizes().vec();
    description.tensors.push_back({buffer.name, state::Component::kWeight, core::DType::kFloat32, shape});
    if (has_buffers) {
      description.mine.push_back({buffer.name, state::Component::kWeight, core::DType::kFloat32, shape, 0,
                                  buffer.values.numel(), buffer.values.mutable_data_ptr()});
    }
  }
  return description;
}

Engine::Engine(const EngineParts& parts, const EngineOptions& options)
    : impl_(std::make_unique<Impl>(parts, options)) {}

// The last step's gathers may still write into the buckets, and its updates into host memory. A run that ends well lets
// them come in; one that fails does not wait for ranks that may be gone.
Engine::~Engine() {
  if (std::uncaught_exceptions() > 0) {
    return;
  }
  try {
    impl_->parameters.wait_for_all();
    impl_->settle_host_memory();
  } catch (const std::exception&) {
    return;  // nobody is left to hear of it
  }
}

void Engine::initialise(const FillPiece& fill) {
  Impl& impl = *impl_;
  if (impl.frozen) {
    impl.frozen->load(fill);
  }
  for (int bucket = 0; bucket < impl.context.num_buckets(); ++bucket) {
    for (const int rank : ranks_held(impl.context)) {
      for (OwnedRange& range : impl.optimizer.ranges(bucket, rank)) {
        fill_pieces(impl.context, fill, {range.param, range.begin, range.end, 0},
                    [&](std::int64_t offset, const at::Tensor& made) {
                      const at::Tensor piece = made.to(impl.context.options.device);
                      kernels::split_parameter(piece, kernels::narrow(range.state.parameter, offset, piece.numel()));
                      if (range.state.average.defined()) {
                        range.state.average.narrow(0, offset, piece.numel()).copy_(piece);
                      }
                    });
      }
    }
  }
  impl.gather_all();
}

model::Weights& Engine::weights() { return impl_->all_weights; }
model::Gradients& Engine::gradients() { return impl_->trained_gradients; }
bool Engine::forward_changes_state() const { return !impl_->buffers.empty(); }
void Engine::settle_weights() { impl_->parameters.wait_for_all(); }
void Engine::with_averages(const std::function<void()>& work) {
  Impl& impl = *impl_;
  core::require(impl.context.options.averages(), "engine", "no averages are kept");
  impl.parameters.wait_for_all();
  impl.settle_host_memory();
  const std::vector<at::Tensor> weights = impl.put_weights_aside();
  for (int bucket = 0; bucket < impl.context.num_buckets(); ++bucket) {
    impl.optimizer.weight(bucket).copy_(impl.optimizer.average(bucket));
  }
  impl.gather_all();
  work();
  for (int bucket = 0; bucket < impl.context.num_buckets(); ++bucket) {
    impl.optimizer.weight(bucket).copy_(weights[static_cast<std::size_t>(bucket)]);
  }
  impl.gather_all();
}

std::int64_t Engine::num_updates() const { return impl_->num_updates; }

void Engine::begin_micro_step(std::int64_t index) {
  if (index == 0) {
    impl_->parameters.begin_updates();  // of buckets that nothing used since
    impl_->gradient_sums.reset();
  }
  impl_->gradients->begin_micro_step(index == 0, index + 1 == impl_->context.options.accumulation_steps);
}

StepOutcome Engine::finish_step(double lr, const at::Tensor& metrics, const std::function<void()>& norm_is_known) {
  Impl& impl = *impl_;
  const EngineOptions& options = impl.context.options;
  const double average = 1.0 / static_cast<double>(impl.context.layout.world * options.accumulation_steps);
  Impl::Sums sums = impl.sums_over_ranks(metrics);
  if (norm_is_known) {
    norm_is_known();
  }

  StepOutcome outcome;
  outcome.grad_norm = std::sqrt(sums.squares) * average;
  outcome.skipped = !sums.all_finite;
  outcome.metrics = std::move(sums.metrics);
  if (outcome.skipped) {
    impl.count_skip(outcome.grad_norm);
  } else {
    impl.skipped_in_a_row = 0;
    impl.update(lr, average * impl.clip_factor(outcome.grad_norm));
  }
  return outcome;
}

state::StateDescription Engine::state_to_save() const {
  const int rank = impl_->context.collectives.rank();
  impl_->settle_host_memory();
  return impl_->describe({rank}, rank == 0);
}

state::StateDescription Engine::state_to_restore() const {
  impl_->settle_host_memory();
  return impl_->describe(ranks_held(impl_->context), true);
}

void Engine::finish_restore(std::int64_t num_updates) {
  impl_->num_updates = num_updates;
  if (impl_->frozen) {
    impl_->frozen->gather();
  }
  impl_->gather_all();
}

}  // namespace tessera::engine
