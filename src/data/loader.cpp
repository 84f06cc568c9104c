#include "tessera/data/loader.hpp"

#include "data/augment.hpp"
#include "data/packed_batch.hpp"
#include "data/prefetcher.hpp"
#include "tessera/core/error.hpp"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <utility>

// Shapes: B images, S x S pixels, 3 channels.

namespace tessera::data {

namespace {

/// Which images a batch is made of, and how.
struct Plan {
  std::vector<std::int64_t> indices;
  Cursor step;
  std::int64_t micro_step = 0;
  bool augmented = true;
};
using Planner = std::function<Plan(std::int64_t number)>;

/// What a worker leaves of a batch. On the CPU the images are done; for a device they are packed, and `copied` tells
/// when the packed bytes may be overwritten.
struct Slot {
  Slot(bool pinned, c10::DeviceType device) : packed(pinned), copied(device) {}

  Plan plan;
  PackedBatch packed;
  at::Tensor labels_B;
  at::Tensor images_B3SS;  ///< of the CPU: shared with the batch that was handed out
  c10::Event copied;
};

/// Whether nobody but its owner holds the tensor, so that its memory may be written again.
bool is_alone(const at::Tensor& tensor) {
  const bool alone = tensor.use_count() == 1 && tensor.storage().use_count() == 1;
  std::atomic_thread_fence(std::memory_order_acquire);  // whoever let go of it had read it before
  return alone;
}

void require_reduction(const kernels::ImageView& view, const std::string& name) {
  core::require(view.crop_height <= std::int64_t{kernels::kMaxReduction} * view.resized_height &&
                    view.crop_width <= std::int64_t{kernels::kMaxReduction} * view.resized_width,
                "data", "{} of {}x{} pixels is more than {} times larger than what it becomes; shrink or remove it",
                name, view.height, view.width, kernels::kMaxReduction);
}

}  // namespace

class Loader::Impl {
 public:
  Impl(const Dataset& dataset, const kernels::Ops& ops, const LoaderSpec& spec, std::int64_t num_batches,
       Planner planner)
      : dataset_(dataset),
        transform_images_(ops.transform_images),
        spec_(spec),
        transform_{.output_size = spec.input_size, .mean = dataset.recipe().mean, .std = dataset.recipe().std},
        planner_(std::move(planner)) {
    const std::int64_t num_slots = spec.prefetch > 0 ? spec.prefetch : spec.num_workers + 2;
    slots_.reserve(static_cast<std::size_t>(num_slots));
    for (std::int64_t i = 0; i < num_slots; ++i) {
      slots_.emplace_back(!on_cpu(), spec.device.type());
    }
    prefetcher_.emplace(Prefetcher::Spec{spec.num_workers, num_slots, num_batches},
                        [this](std::int64_t number, std::int64_t slot) { fill(number, slot_at(slot)); });
  }

  std::optional<Batch> next() {
    const std::int64_t index = prefetcher_->wait();
    if (index < 0) {
      return std::nullopt;
    }
    Slot& slot = slot_at(index);
    Batch batch = on_cpu() ? Batch{slot.images_B3SS, std::move(slot.labels_B), {}, {}, 0} : to_device(slot);
    batch.indices = std::move(slot.plan.indices);
    batch.step = slot.plan.step;
    batch.micro_step = slot.plan.micro_step;
    prefetcher_->release();
    return batch;
  }

 private:
  [[nodiscard]] bool on_cpu() const { return spec_.device.is_cpu(); }
  Slot& slot_at(std::int64_t index) { return slots_[static_cast<std::size_t>(index)]; }

  [[nodiscard]] at::Tensor empty_images(std::int64_t num_images) const {
    return at::empty({num_images, 3, spec_.input_size, spec_.input_size},
                     at::TensorOptions().dtype(spec_.dtype).device(spec_.device));
  }

  void transform(const at::Tensor& whole, std::int64_t views_bytes, at::Tensor& images_B3SS) const {
    transform_images_(whole.narrow(0, views_bytes, whole.numel() - views_bytes), whole.narrow(0, 0, views_bytes),
                      transform_, images_B3SS);
  }

  /// A worker's part.
  void fill(std::int64_t number, Slot& slot) const {
    const c10::DeviceGuard guard(spec_.device);
    slot.copied.synchronize();
    slot.plan = planner_(number);
    const auto num_images = static_cast<std::int64_t>(slot.plan.indices.size());
    slot.labels_B = at::empty({num_images}, at::TensorOptions().dtype(at::kLong).pinned_memory(!on_cpu()));
    slot.packed.begin(num_images);
    std::vector<std::uint8_t> scratch;
    auto* label = slot.labels_B.mutable_data_ptr<std::int64_t>();
    const auto size = static_cast<std::int32_t>(spec_.input_size);
    for (const std::int64_t index : slot.plan.indices) {
      const DecodedImage image = dataset_.decode(index, scratch);
      const kernels::ImageView view =
          slot.plan.augmented ? training_view(image, dataset_.recipe(), size, {spec_.seed, slot.plan.step.epoch, index})
                              : evaluation_view(image, dataset_.recipe(), size);
      require_reduction(view, dataset_.name(index));
      slot.packed.add(image.bytes.data(), view);
      *label++ = dataset_.label(index);
    }
    if (on_cpu()) {
      // Fresh memory costs the kernel as much time to clear as the transform takes.
      if (!slot.images_B3SS.defined() || slot.images_B3SS.size(0) != num_images || !is_alone(slot.images_B3SS)) {
        slot.images_B3SS = empty_images(num_images);
      }
      transform(slot.packed.whole(), slot.packed.views_bytes(), slot.images_B3SS);
    }
  }

  /// The consumer's part where the device is not the CPU.
  Batch to_device(Slot& slot) const {
    const c10::DeviceGuard guard(spec_.device);
    const at::Tensor whole = slot.packed.whole().to(spec_.device, /*non_blocking=*/true);
    Batch batch;
    batch.labels_B = slot.labels_B.to(spec_.device, /*non_blocking=*/true);
    batch.images_B3SS = empty_images(batch.labels_B.numel());
    transform(whole, slot.packed.views_bytes(), batch.images_B3SS);
    slot.copied.record(c10::impl::VirtualGuardImpl(spec_.device.type()).getStream(spec_.device));
    return batch;
  }

  const Dataset& dataset_;
  kernels::TransformImages* transform_images_;
  LoaderSpec spec_;
  kernels::ImageTransform transform_;
  Planner planner_;
  std::vector<Slot> slots_;
  std::optional<Prefetcher> prefetcher_;  // last, so that the workers end before what they use
};

Loader::Loader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;
Loader::~Loader() = default;

std::optional<Batch> Loader::next() { return impl_->next(); }

Loader make_training_loader(const Dataset& dataset, const kernels::Ops& ops, const LoaderSpec& spec, Cursor start) {
  const auto sampler = std::make_shared<const TrainSampler>(SamplerSpec{.dataset_size = dataset.size(),
                                                                        .batch_size = spec.batch_size,
                                                                        .accum_iter = spec.accum_iter,
                                                                        .rank = spec.rank,
                                                                        .world = spec.world,
                                                                        .seed = spec.seed});
  const auto planner = [sampler, start, num_micro_steps = spec.accum_iter](std::int64_t number) {
    const std::int64_t steps = start.step + number / num_micro_steps;
    Plan plan{
        .indices = {},
        .step = {.epoch = start.epoch + steps / sampler->steps_per_epoch(), .step = steps % sampler->steps_per_epoch()},
        .micro_step = number % num_micro_steps};
    plan.indices = sampler->indices(plan.step, plan.micro_step);
    return plan;
  };
  return Loader(std::make_unique<Loader::Impl>(dataset, ops, spec, Prefetcher::kEndless, planner));
}

Loader make_evaluation_loader(const Dataset& dataset, const kernels::Ops& ops, const LoaderSpec& spec) {
  std::vector<std::int64_t> mine = evaluation_indices(dataset.size(), spec.rank, spec.world);
  const std::int64_t num_batches = (static_cast<std::int64_t>(mine.size()) + spec.batch_size - 1) / spec.batch_size;
  auto planner = [mine = std::move(mine), batch_size = spec.batch_size](std::int64_t number) {
    const auto begin = mine.begin() + number * batch_size;
    const auto end = begin + std::min(batch_size, mine.end() - begin);
    return Plan{.indices = {begin, end}, .step = {.epoch = 0, .step = number}, .augmented = false};
  };
  return Loader(std::make_unique<Loader::Impl>(dataset, ops, spec, num_batches, std::move(planner)));
}

}  // namespace tessera::data
