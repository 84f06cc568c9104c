#pragma once

#include "data/augment.hpp"
#include "tessera/core/error.hpp"
#include "tessera/data/loader.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

// Shapes: B images, S x S pixels.

namespace tessera::data {

inline constexpr std::int64_t kSize = 61;

/// Images of many shapes, made of their index; every seventh is slow, so that workers finish out of order.
class MadeUp final : public Dataset {
 public:
  explicit MadeUp(std::int64_t bad_index = -1) : bad_index_(bad_index) {}

  [[nodiscard]] std::int64_t size() const override { return kSize; }
  [[nodiscard]] const std::vector<std::string>& class_names() const override { return classes_; }
  [[nodiscard]] const Recipe& recipe() const override { return recipe_; }
  [[nodiscard]] std::int64_t label(std::int64_t index) const override { return index % 3; }
  [[nodiscard]] std::string name(std::int64_t index) const override { return "image " + std::to_string(index); }
  [[nodiscard]] DecodedImage decode(std::int64_t index, std::vector<std::uint8_t>& scratch) const override {
    core::require(index != bad_index_, "data", "{} is a corrupt JPEG file", name(index));
    if (index % 7 == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    DecodedImage image{.bytes = {},
                       .height = static_cast<std::int32_t>(20 + index % 11),
                       .width = static_cast<std::int32_t>(17 + index % 13),
                       .channels = index % 4 == 0 ? 1 : 3,
                       .planar = index % 2 == 0};
    scratch.resize(static_cast<std::size_t>(image.height * image.width * image.channels));
    for (std::size_t i = 0; i < scratch.size(); ++i) {
      scratch[i] = static_cast<std::uint8_t>(static_cast<std::size_t>(index * 7) + i * i % 251);
    }
    image.bytes = scratch;
    return image;
  }

 private:
  std::int64_t bad_index_;
  std::vector<std::string> classes_ = {"a", "b", "c"};
  Recipe recipe_{.mean = {0.4F, 0.5F, 0.6F}, .std = {0.2F, 0.3F, 0.25F}};
};

/// 61 images, 10 a step: six steps an epoch.
inline LoaderSpec small_spec(std::int64_t num_workers = 2) {
  return {.batch_size = 5, .accum_iter = 2, .seed = 8, .input_size = 16, .num_workers = num_workers};
}

/// The same with everything that --aa and its kin do, six images at a time: five steps an epoch.
inline LoaderSpec augmented_spec(std::int64_t num_workers = 2) {
  LoaderSpec spec = small_spec(num_workers);
  spec.batch_size = 6;
  spec.augment.hflip = 0.3;
  spec.augment.auto_augment = config::parse_auto_augment("rand-m9-p1-mstd0.5-inc1");
  spec.augment.reprob = 0.5;
  spec.augment.recount = 2;
  spec.augment.mixup = 0.8;
  spec.augment.cutmix = 1;
  spec.augment.mixup_mode = config::MixMode::kElem;
  return spec;
}

inline const kernels::Ops& cpu_ops() { return kernels::ops_for(c10::kCPU); }

inline std::vector<Batch> take(Loader& loader, std::size_t count) {
  std::vector<Batch> batches;
  while (batches.size() < count) {
    batches.push_back(loader.next().value());
  }
  return batches;
}

inline void expect_same(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.indices, b.indices);
  EXPECT_EQ(a.step.epoch, b.step.epoch);
  EXPECT_EQ(a.step.step, b.step.step);
  EXPECT_EQ(a.micro_step, b.micro_step);
  EXPECT_TRUE(at::equal(a.labels_B, b.labels_B));
  EXPECT_TRUE(at::equal(a.images_B3SS, b.images_B3SS));
  ASSERT_EQ(a.shares_B.defined(), b.shares_B.defined());
  if (a.shares_B.defined()) {
    EXPECT_TRUE(at::equal(a.other_labels_B, b.other_labels_B));
    EXPECT_TRUE(at::equal(a.shares_B, b.shares_B));
  }
}

template <class T>
at::Tensor bytes_of(const std::vector<T>& structs) {
  at::Tensor bytes = at::empty({static_cast<std::int64_t>(structs.size() * sizeof(T))}, at::kByte);
  std::memcpy(bytes.mutable_data_ptr(), structs.data(), structs.size() * sizeof(T));
  return bytes;
}

/// The image as the loader should make it, straight from the parts.
inline at::Tensor prepared(const MadeUp& dataset, const kernels::ImageView& view, const DecodedImage& image,
                           at::ScalarType type = at::kFloat) {
  const at::Tensor packed = at::empty({static_cast<std::int64_t>(image.bytes.size())}, at::kByte);
  std::copy(image.bytes.begin(), image.bytes.end(), packed.mutable_data_ptr<std::uint8_t>());
  const at::Tensor views = at::empty({sizeof view}, at::kByte);
  std::memcpy(views.mutable_data_ptr(), &view, sizeof view);
  at::Tensor out_B3SS = at::empty({1, 3, 16, 16}, type);
  kernels::cpu::transform_images(
      packed, views, {.output_size = 16, .mean = dataset.recipe().mean, .std = dataset.recipe().std}, out_B3SS);
  return out_B3SS[0];
}

}  // namespace tessera::data
