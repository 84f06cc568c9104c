#pragma once

#include "tessera/comm/collectives.hpp"
#include "tessera/engine/options.hpp"
#include "tessera/kernels/ops.hpp"
#include "tessera/model/param_table.hpp"
#include "tessera/model/parameter_access.hpp"
#include "tessera/state/state_view.hpp"
#include "tessera/topology/group.hpp"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tessera::engine {

/// Fills elements [begin, end) of a parameter: `piece` is a flat fp32 tensor of that length on the run's device.
using FillPiece = std::function<void(const model::Param& param, std::int64_t begin, at::Tensor& piece)>;

/// Random values by each parameter's Init, from (seed, name, element) alone: the same for every world size.
FillPiece random_init(const kernels::Ops& ops, std::uint64_t seed);

struct StepOutcome {
  double grad_norm = 0;         ///< global L2 norm of the averaged gradient, before clipping
  bool skipped = false;         ///< it, or a metric, was not finite: nothing was updated, on any rank
  std::vector<double> metrics;  ///< summed over the ranks
};

/// An fp32 tensor that every rank has alike and that is no parameter (running statistics): saved and restored with
/// them, as a weight of this name.
struct NamedBuffer {
  std::string name;
  at::Tensor values;
};

/// What the engine stands on.
struct EngineParts {
  const model::ParamTable& table;
  comm::Collectives& collectives;
  const topology::Group& group;
  const kernels::Ops& ops;
  /// Units before this one are frozen: weights in the compute dtype, whole on every rank, without master, moments and
  /// gradients.
  int num_frozen_units = 0;
  std::vector<NamedBuffer> buffers{};
};

/// ZeRO stages 0, 1 and 2: holds parameters, gradients and optimizer state in buckets, and moves them between ranks
/// beside the computation. A step is: for each micro-step begin_micro_step() and a backward pass into gradients(),
/// then finish_step(). docs/engine.md draws its timeline.
class Engine {
 public:
  /// Takes all of its device memory at once. Collective over the run.
  Engine(const EngineParts& parts, const EngineOptions& options);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  /// Gives every parameter its first value (each rank makes what it owns, then all gather). Collective over the run.
  void initialise(const FillPiece& fill);

  /// Of every unit of the table.
  [[nodiscard]] model::Weights& weights();
  /// Makes the current stream wait for all weights of all ranks, which otherwise their first use does. Before what
  /// ranks may not all go through alike. Collective over the run.
  void settle_weights();
  /// Whether a forward pass already changes what state_to_save() describes: there are buffers.
  [[nodiscard]] bool forward_changes_state() const;
  /// Of the units that are trained, by their place in the table.
  [[nodiscard]] model::Gradients& gradients();

  /// Micro-steps of a step are numbered from 0.
  void begin_micro_step(std::int64_t index);

  /// Norm, clipping, the optimizer, and the all-gather of what was updated. `metrics` is a flat fp64 tensor on the
  /// run's device whose sums over the ranks travel with the norm; the step is skipped where one of them is not finite.
  /// Waits for the device once. Throws AgreedError on every rank after too many skipped steps in a row.
  /// `norm_is_known`, if any, is called between the norm and the update. Collective over the run.
  StepOutcome finish_step(double lr, const at::Tensor& metrics, const std::function<void()>& norm_is_known = {});

  /// Runs `work` while weights() gives the moving averages of what is trained, rounded to the compute type; then they
  /// are what they were, bit for bit. Meanwhile these are where gradients are in a step (where gradients are narrower
  /// than weights, in memory of their own). Between steps; collective over the run.
  void with_averages(const std::function<void()>& work);

  /// Updates applied so far.
  [[nodiscard]] std::int64_t num_updates() const;

  /// What this rank answers for in a checkpoint: over all ranks, everything once.
  [[nodiscard]] state::StateDescription state_to_save() const;
  /// Everything of the state that this rank holds and a restore must fill (at stage 0: all of it).
  [[nodiscard]] state::StateDescription state_to_restore() const;
  /// After the views of state_to_restore() were filled. Collective over the run.
  void finish_restore(std::int64_t num_updates);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whole weights alone, for evaluation: no gradients, no optimizer. `fill` as in Engine::initialise; each rank makes
/// its shard and gathers the others'. Collective over the run.
std::unique_ptr<model::Weights> load_weights(const EngineParts& parts, const EngineOptions& options,
                                             const FillPiece& fill);

}  // namespace tessera::engine
