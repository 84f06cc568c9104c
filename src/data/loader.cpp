#include "tessera/data/loader.hpp"

#include "data/augment.hpp"
#include "data/mixing.hpp"
#include "data/packed_batch.hpp"
#include "data/painter.hpp"
#include "data/prefetcher.hpp"
#include "data/random_erasing.hpp"
#include "tessera/core/error.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <utility>

// Shapes: N images of the data set, B images, S x S pixels, 3 channels, D features.

namespace tessera::data {

namespace {

/// Which images a batch is made of, and how.
struct Plan {
  std::vector<std::int64_t> indices;
  Cursor step;
  std::int64_t micro_step = 0;
  std::int64_t number_in_epoch = 0;  ///< of this micro-batch, over all ranks
  bool augmented = true;
};
using Planner = std::function<Plan(std::int64_t number)>;

/// What a worker leaves of a batch. On the CPU the images are done; for a device they are packed, and `copied` tells
/// when the packed bytes may be overwritten.
struct Slot {
  Slot(bool pinned, c10::DeviceType device) : decoded(/*pinned=*/false), packed(pinned), copied(device) {}

  Plan plan;
  PackedBatch decoded;  ///< of images that are painted: as they were before the crop
  PackedBatch packed;
  at::Tensor labels_B;
  at::Tensor boxes;  ///< ErasedBox structs, where images are erased
  at::Tensor mixes;  ///< ImageMix structs and the labels' shares, where images are mixed
  at::Tensor shares_B;
  at::Tensor images_B3SS;  ///< of the CPU: shared with the batch that was handed out
  c10::Event copied;
};

/// A copy in host memory, from which copies to a GPU need not wait where it is pinned.
template <class T>
at::Tensor to_tensor(const std::vector<T>& values, at::ScalarType type, bool pinned) {
  const auto num_bytes = static_cast<std::int64_t>(values.size() * sizeof(T));
  at::Tensor tensor = at::empty({num_bytes / static_cast<std::int64_t>(c10::elementSize(type))},
                                at::TensorOptions().dtype(type).pinned_memory(pinned));
  if (num_bytes > 0) {
    std::memcpy(tensor.mutable_data_ptr(), values.data(), static_cast<std::size_t>(num_bytes));
  }
  return tensor;
}

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
        ops_(ops),
        spec_(spec),
        side_(static_cast<std::int32_t>(spec.input_size)),
        transform_{.output_size = spec.input_size, .mean = dataset.recipe().mean, .std = dataset.recipe().std},
        painter_(spec.augment, dataset.recipe(), side_),
        planner_(std::move(planner)),
        num_batches_(num_batches) {
    if (spec.rows_ND.defined()) {
      return;
    }
    const std::int64_t num_slots = spec.prefetch > 0 ? spec.prefetch : spec.num_workers + 2;
    slots_.reserve(static_cast<std::size_t>(num_slots));
    for (std::int64_t i = 0; i < num_slots; ++i) {
      slots_.emplace_back(!on_cpu(), spec.device.type());
    }
    prefetcher_.emplace(Prefetcher::Spec{spec.num_workers, num_slots, num_batches},
                        [this](std::int64_t number, std::int64_t slot) { fill(number, slot_at(slot)); });
  }

  std::optional<Batch> next() {
    if (spec_.rows_ND.defined()) {
      return next_rows();
    }
    const std::int64_t index = prefetcher_->wait();
    if (index < 0) {
      return std::nullopt;
    }
    Slot& slot = slot_at(index);
    Batch batch;
    if (on_cpu()) {
      batch.images_B3SS = slot.images_B3SS;
      batch.labels_B = std::move(slot.labels_B);
      batch.shares_B = std::move(slot.shares_B);
    } else {
      to_device(slot, batch);
    }
    if (batch.shares_B.defined()) {
      batch.other_labels_B = batch.labels_B.flip(0);  // the partner of image i is image B - 1 - i
    }
    batch.indices = std::move(slot.plan.indices);
    batch.step = slot.plan.step;
    batch.micro_step = slot.plan.micro_step;
    prefetcher_->release();
    return batch;
  }

 private:
  std::optional<Batch> next_rows() {
    if (num_made_ == num_batches_) {
      return std::nullopt;
    }
    Plan plan = planner_(num_made_++);
    std::vector<std::int64_t> labels;
    for (const std::int64_t index : plan.indices) {
      labels.push_back(dataset_.label(index));
    }
    Batch batch;
    batch.images_B3SS = spec_.rows_ND.index_select(0, at::tensor(plan.indices).to(spec_.device));
    batch.labels_B = at::tensor(labels).to(spec_.device);
    batch.indices = std::move(plan.indices);
    batch.step = plan.step;
    batch.micro_step = plan.micro_step;
    return batch;
  }

  [[nodiscard]] bool on_cpu() const { return spec_.device.is_cpu(); }
  Slot& slot_at(std::int64_t index) { return slots_[static_cast<std::size_t>(index)]; }

  [[nodiscard]] at::Tensor empty_images(std::int64_t num_images) const {
    return at::empty({num_images, 3, spec_.input_size, spec_.input_size},
                     at::TensorOptions().dtype(spec_.dtype).device(spec_.device));
  }

  [[nodiscard]] SampleKey key_of(const Plan& plan, std::int64_t index) const {
    return {spec_.seed, plan.step.epoch, index};
  }

  static void transform(kernels::TransformImages* op, const PackedBatch& packed, const at::Tensor& whole,
                        const kernels::ImageTransform& transform, at::Tensor& images_B3SS) {
    const std::int64_t views_bytes = packed.views_bytes();
    op(whole.narrow(0, views_bytes, whole.numel() - views_bytes), whole.narrow(0, 0, views_bytes), transform,
       images_B3SS);
  }

  /// A worker's part.
  void fill(std::int64_t number, Slot& slot) const {
    const c10::DeviceGuard guard(spec_.device);
    slot.copied.synchronize();
    slot.plan = planner_(number);
    if (slot.plan.augmented && spec_.augment.paints()) {
      decode(slot, slot.decoded);
      paint(slot);
    } else {
      decode(slot, slot.packed);
    }
    if (slot.plan.augmented) {
      draw_boxes(slot);
    }
    if (on_cpu()) {
      make_images(slot);
    }
  }

  void decode(Slot& slot, PackedBatch& packed) const {
    const auto num_images = static_cast<std::int64_t>(slot.plan.indices.size());
    slot.labels_B = at::empty({num_images}, at::TensorOptions().dtype(at::kLong).pinned_memory(!on_cpu()));
    packed.begin(num_images);
    std::vector<std::uint8_t> scratch;
    auto* label = slot.labels_B.mutable_data_ptr<std::int64_t>();
    for (const std::int64_t index : slot.plan.indices) {
      const DecodedImage image = dataset_.decode(index, scratch);
      const kernels::ImageView view = slot.plan.augmented ? training_view(image, dataset_.recipe(), side_,
                                                                          spec_.augment.hflip, key_of(slot.plan, index))
                                                          : evaluation_view(image, dataset_.recipe(), side_);
      require_reduction(view, dataset_.name(index));
      packed.add(image.bytes.data(), view);
      *label++ = dataset_.label(index);
    }
  }

  /// Crops, and changes the crops' bytes. What is left to be done is to normalise them.
  void paint(Slot& slot) const {
    at::Tensor crops_B3SS = slot.packed.lay_out(static_cast<std::int64_t>(slot.plan.indices.size()), side_);
    transform(kernels::cpu::transform_images, slot.decoded, slot.decoded.whole(), transform_, crops_B3SS);
    Picture picture{crops_B3SS.mutable_data_ptr<std::uint8_t>(), side_};
    Scratch scratch;
    for (const std::int64_t index : slot.plan.indices) {
      painter_.paint(picture, key_of(slot.plan, index), scratch);
      picture.pixels += 3 * picture.plane_bytes();
    }
  }

  /// What is erased and mixed after the normalisation.
  void draw_boxes(Slot& slot) const {
    if (spec_.augment.reprob > 0) {
      std::vector<kernels::ErasedBox> boxes;
      std::int32_t image = 0;
      for (const std::int64_t index : slot.plan.indices) {
        append_erased_boxes(spec_.augment, side_, image++, key_of(slot.plan, index), boxes);
      }
      slot.boxes = to_tensor(boxes, at::kByte, !on_cpu());
    }
    if (spec_.augment.mixes()) {
      const BatchMix mix = draw_mix(spec_.augment, static_cast<std::int64_t>(slot.plan.indices.size()), side_,
                                    {spec_.seed, slot.plan.step.epoch, slot.plan.number_in_epoch});
      slot.mixes = to_tensor(mix.images, at::kByte, !on_cpu());
      slot.shares_B = to_tensor(mix.shares, at::kFloat, !on_cpu());
    }
  }

  void make_images(Slot& slot) const {
    // Fresh memory costs the kernel as much time to clear as the transform takes.
    const std::int64_t num_images = slot.labels_B.numel();
    if (!slot.images_B3SS.defined() || slot.images_B3SS.size(0) != num_images || !is_alone(slot.images_B3SS)) {
      slot.images_B3SS = empty_images(num_images);
    }
    transform(ops_.transform_images, slot.packed, slot.packed.whole(), transform_, slot.images_B3SS);
    change(slot, slot.images_B3SS);
  }

  /// The consumer's part where the device is not the CPU.
  void to_device(Slot& slot, Batch& batch) const {
    const c10::DeviceGuard guard(spec_.device);
    const at::Tensor whole = copied(slot.packed.whole());
    batch.labels_B = copied(slot.labels_B);
    batch.images_B3SS = empty_images(batch.labels_B.numel());
    transform(ops_.transform_images, slot.packed, whole, transform_, batch.images_B3SS);
    change(slot, batch.images_B3SS);
    if (slot.shares_B.defined()) {
      batch.shares_B = copied(slot.shares_B);
    }
    slot.copied.record(c10::impl::VirtualGuardImpl(spec_.device.type()).getStream(spec_.device));
  }

  [[nodiscard]] at::Tensor copied(const at::Tensor& tensor) const {
    return tensor.to(spec_.device, /*non_blocking=*/true);
  }

  /// Erases, then mixes.
  void change(const Slot& slot, at::Tensor& images_B3SS) const {
    if (slot.boxes.defined() && slot.boxes.numel() > 0) {
      ops_.erase_images(copied(slot.boxes), images_B3SS);
    }
    if (slot.mixes.defined()) {
      ops_.mix_images(copied(slot.mixes), images_B3SS);
    }
  }

  const Dataset& dataset_;
  const kernels::Ops& ops_;
  LoaderSpec spec_;
  std::int32_t side_;
  kernels::ImageTransform transform_;
  Painter painter_;
  Planner planner_;
  std::int64_t num_batches_;
  std::int64_t num_made_ = 0;  // from rows
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
  const auto planner = [sampler, start, num_micro_steps = spec.accum_iter, rank = spec.rank, world = spec.world,
                        plain = spec.plain](std::int64_t number) {
    const std::int64_t steps = start.step + number / num_micro_steps;
    Plan plan{
        .indices = {},
        .step = {.epoch = start.epoch + steps / sampler->steps_per_epoch(), .step = steps % sampler->steps_per_epoch()},
        .micro_step = number % num_micro_steps,
        .augmented = !plain};
    plan.indices = sampler->indices(plan.step, plan.micro_step);
    plan.number_in_epoch = (plan.step.step * num_micro_steps + plan.micro_step) * world + rank;
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
