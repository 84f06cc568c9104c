#pragma once

#include "tessera/config/augment_config.hpp"
#include "tessera/data/dataset.hpp"
#include "tessera/data/sampler.hpp"
#include "tessera/kernels/ops.hpp"

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

// Shapes: N images of the data set, B images, S x S pixels, 3 channels, D features.

namespace tessera::data {

struct LoaderSpec {
  std::int64_t batch_size = 32;  ///< images per rank and micro-step
  std::int64_t accum_iter = 1;
  int rank = 0;
  int world = 1;
  std::uint64_t seed = 0;
  std::int64_t input_size = 224;        ///< S
  std::int64_t num_workers = 4;         ///< threads; 0: next() does their work
  std::int64_t prefetch = 0;            ///< micro-batches made ahead; 0: two more than there are workers
  c10::ScalarType dtype = c10::kFloat;  ///< of the images: kFloat or kBFloat16
  c10::Device device = c10::kCPU;
  config::AugmentConfig augment{};  ///< of training; labels are the data set's affair
  bool plain = false;               ///< prepare training images as for evaluation: no random crop, no flip
  /// What stands for the images where it is known already, by index (features of a frozen backbone), on `device`:
  /// nothing is decoded then, and a batch has rows of it in place of pixels.
  at::Tensor rows_ND{};
};

/// One micro-batch, on the loader's device.
struct Batch {
  at::Tensor images_B3SS;             ///< or rows_BD, of LoaderSpec::rows_ND
  at::Tensor labels_B;                ///< int64
  at::Tensor other_labels_B;          ///< where images are mixed: their partners' labels, else undefined
  at::Tensor shares_B;                ///< and the share of labels_B, fp32
  std::vector<std::int64_t> indices;  ///< of the images in the data set
  Cursor step;                        ///< that it is part of (evaluation: step is the batch's number)
  std::int64_t micro_step = 0;
};

/// Makes micro-batches in order, ahead of time, on threads of its own.
///
/// A batch depends on the data set, the seed and its place in training alone: not on the workers, and not on where the
/// loader was started. For a CPU the workers do everything. For a GPU they decode and pack bytes into pinned memory
/// (and crop, flip and paint them, where there is --aa or --color_jitter), and next() copies them and calls the
/// device's transform, erasing and mixing. Data set and ops must outlive the loader.
class Loader {
 public:
  Loader(Loader&&) noexcept;
  Loader& operator=(Loader&&) noexcept;
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;
  /// Stops the workers, however many batches are outstanding.
  ~Loader();

  /// The next micro-batch, waiting for it where need be; nothing when evaluation is through. What a worker threw is
  /// thrown here, at the batch that it spoilt and ever after. Stream-ordered on the device's current stream. To be
  /// called from one thread.
  std::optional<Batch> next();

 private:
  class Impl;
  explicit Loader(std::unique_ptr<Impl> impl);
  friend Loader make_training_loader(const Dataset&, const kernels::Ops&, const LoaderSpec&, Cursor);
  friend Loader make_evaluation_loader(const Dataset&, const kernels::Ops&, const LoaderSpec&);

  std::unique_ptr<Impl> impl_;
};

/// Augmented images (unless plain) in random order from `start` on, epoch after epoch without end: accum_iter
/// micro-batches a step. Throws core::UserError where the data set is smaller than one step.
Loader make_training_loader(const Dataset& dataset, const kernels::Ops& ops, const LoaderSpec& spec, Cursor start);

/// This rank's part of the data set once, in order, as evaluation prepares it. The last batch may be smaller.
Loader make_evaluation_loader(const Dataset& dataset, const kernels::Ops& ops, const LoaderSpec& spec);

}  // namespace tessera::data
