#pragma once

#include "engine/context.hpp"
#include "tessera/model/parameter_access.hpp"

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>

namespace tessera::engine {

/// What of a bucket this rank keeps of its reduced gradient, and updates: its shard, or all of it.
enum class Part : std::uint8_t { kShard, kWhole };

/// Receives the gradients of a step and reduces them over the ranks while backward goes on.
///
/// One step is accumulation_steps micro-steps, each announced by begin_micro_step and followed by one backward pass;
/// then reduced() gives the sums over micro-steps and ranks (not averages).
class GradientBuckets : public model::Gradients {
 public:
  virtual void begin_micro_step(bool first, bool last) = 0;
  /// The current stream waits for the bucket's reduction. Flat, fp32 or bf16; padding is zero.
  /// Collective over the run: every rank asks for the buckets in the same order.
  virtual at::Tensor reduced(int bucket) = 0;
};

/// What is done with this rank's shard of a bucket whose gradient is offloaded, once all micro-steps are in it and, of
/// one micro-step, before it leaves the device. On the side stream.
using LeavingShardWork = std::function<void(int bucket, const at::Tensor& shard)>;

/// The strategy for these options: what lives where, and when it is reduced.
///   partitioned: stage 2 on several ranks, and offloaded gradients. A small ring of whole buckets; each micro-step is
///     reduce-scattered into the shard, on the device or in host memory.
///   direct: stages 0 and 1, or one rank, or stage 2 reducing at the boundary. Whole gradients are kept in the
///     parameters' dtype and reduced in place at the last micro-step.
///   accumulated: as direct, where several bf16 micro-steps are to be added up in fp32, or the wire has another dtype.
std::unique_ptr<GradientBuckets> make_gradient_buckets(const Context& context, LeavingShardWork work);

/// Which part of a bucket the options leave to this rank.
Part owned_part(const EngineOptions& options);

std::unique_ptr<GradientBuckets> make_direct_gradients(const Context& context);
std::unique_ptr<GradientBuckets> make_accumulated_gradients(const Context& context);
std::unique_ptr<GradientBuckets> make_partitioned_gradients(const Context& context, LeavingShardWork work);

/// Names the strategy that make_gradient_buckets takes, for the plan.
enum class GradientStrategy : std::uint8_t { kDirect, kAccumulated, kPartitioned };
GradientStrategy choose_gradient_strategy(const EngineOptions& options, int world);

/// Of reduced gradients as they arrive (one rank sends nothing), and as they are kept: several micro-steps are added up
/// in fp32.
at::ScalarType arriving_gradient_type(const EngineOptions& options, int world);
at::ScalarType kept_gradient_type(const EngineOptions& options, int world);

/// Two whole buckets are being made or reduced at a time (a third one where they overlap).
std::int64_t ring_size(const EngineOptions& options);

}  // namespace tessera::engine
