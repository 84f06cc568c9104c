#include "data/mixing.hpp"
#include "data/painter.hpp"
#include "data/random_erasing.hpp"
#include "support/made_up_dataset.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>

// Shapes: B images, S x S pixels.

namespace tessera::data {
namespace {

TEST(AugmentedLoader, PaintsErasesAndMixesInThisOrder) {
  const MadeUp dataset;
  const LoaderSpec spec = augmented_spec();
  Loader loader = make_training_loader(dataset, cpu_ops(), spec, {1, 2});
  const Painter painter(spec.augment, dataset.recipe(), 16);
  for (const std::int64_t micro_step : {0, 1}) {
    const Batch batch = loader.next().value();
    at::Tensor images_B3SS = at::empty({6, 3, 16, 16});
    std::vector<kernels::ErasedBox> boxes;
    for (std::int64_t i = 0; i < 6; ++i) {
      const std::int64_t index = batch.indices[static_cast<std::size_t>(i)];
      const SampleKey key{8, 1, index};
      std::vector<std::uint8_t> scratch;
      const DecodedImage image = dataset.decode(index, scratch);
      const kernels::ImageView view = training_view(image, dataset.recipe(), 16, 0.3, key);
      at::Tensor bytes = prepared(dataset, view, image, at::kByte).contiguous();
      Scratch memory;
      painter.paint({bytes.mutable_data_ptr<std::uint8_t>(), 16}, key, memory);
      const at::Tensor mean = at::tensor({0.4F, 0.5F, 0.6F}).view({3, 1, 1});
      const at::Tensor std = at::tensor({0.2F, 0.3F, 0.25F}).view({3, 1, 1});
      images_B3SS[i] = (bytes.to(at::kFloat) / 255 - mean) / std;
      append_erased_boxes(spec.augment, 16, static_cast<std::int32_t>(i), key, boxes);
    }
    ASSERT_FALSE(boxes.empty());
    kernels::cpu::erase_images(bytes_of(boxes), images_B3SS);
    const BatchMix mix = draw_mix(spec.augment, 6, 16, {8, 1, 2 * 2 + micro_step});
    kernels::cpu::mix_images(bytes_of(mix.images), images_B3SS);
    EXPECT_TRUE(at::equal(batch.images_B3SS, images_B3SS));
    EXPECT_TRUE(at::equal(batch.other_labels_B, batch.labels_B.flip(0)));
    EXPECT_TRUE(at::equal(batch.shares_B, at::tensor(mix.shares)));
  }
}

TEST(AugmentedLoader, AMicroBatchIsMixedAlikeOnWhateverRank) {
  // The second micro-batch of one rank, and the first of the second of two ranks.
  const MadeUp dataset;
  Loader alone = make_training_loader(dataset, cpu_ops(), augmented_spec(), {});
  alone.next();
  const Batch expected = alone.next().value();
  LoaderSpec spec = augmented_spec();
  spec.accum_iter = 1;
  spec.world = 2;
  spec.rank = 1;
  Loader second = make_training_loader(dataset, cpu_ops(), spec, {});
  const Batch batch = second.next().value();
  EXPECT_TRUE(at::equal(batch.images_B3SS, expected.images_B3SS));
  EXPECT_TRUE(at::equal(batch.shares_B, expected.shares_B));
}

TEST(AugmentedLoader, EvaluationIsNotAugmented) {
  const MadeUp dataset;
  Loader plain = make_evaluation_loader(dataset, cpu_ops(), small_spec());
  LoaderSpec spec = augmented_spec();
  spec.batch_size = 5;
  Loader augmented = make_evaluation_loader(dataset, cpu_ops(), spec);
  while (const std::optional<Batch> batch = augmented.next()) {
    expect_same(*batch, plain.next().value());
  }
}

TEST(RandomLabels, AreUniformNoiseForTheirShareOfTheImages) {
  class Many final : public Dataset {
   public:
    [[nodiscard]] std::int64_t size() const override { return 20000; }
    [[nodiscard]] const std::vector<std::string>& class_names() const override { return classes_; }
    [[nodiscard]] const Recipe& recipe() const override { return recipe_; }
    [[nodiscard]] std::int64_t label(std::int64_t index) const override { return index % 4; }
    [[nodiscard]] std::string name(std::int64_t index) const override { return "image " + std::to_string(index); }
    [[nodiscard]] DecodedImage decode(std::int64_t index, std::vector<std::uint8_t>& scratch) const override {
      scratch.assign(3, static_cast<std::uint8_t>(index));
      return {.bytes = scratch, .height = 1, .width = 1};
    }

   private:
    std::vector<std::string> classes_ = {"a", "b", "c", "d"};
    Recipe recipe_;
  };
  const auto noisy = with_random_labels(std::make_unique<Many>(), 0.4, 7);
  const auto again = with_random_labels(std::make_unique<Many>(), 0.4, 7);
  const auto other = with_random_labels(std::make_unique<Many>(), 0.4, 8);
  int moved[4] = {};
  int differ = 0;
  for (std::int64_t i = 0; i < noisy->size(); ++i) {
    ++moved[(noisy->label(i) - i % 4 + 4) % 4];
    EXPECT_EQ(noisy->label(i), again->label(i));
    differ += noisy->label(i) != other->label(i) ? 1 : 0;
  }
  // A quarter of the 40 % draw their own class; the others are as many.
  EXPECT_NEAR(moved[0], 20000 * 0.7, 4 * std::sqrt(20000 * 0.21));
  for (const int count : {moved[1], moved[2], moved[3]}) {
    EXPECT_NEAR(count, 20000 * 0.1, 4 * std::sqrt(20000 * 0.09));
  }
  EXPECT_GT(differ, 20000 * 0.4);
  std::vector<std::uint8_t> scratch;
  EXPECT_EQ(noisy->decode(5, scratch).bytes[0], 5);
  EXPECT_EQ(noisy->class_names().size(), 4U);
  const auto untouched = with_random_labels(std::make_unique<Many>(), 0, 7);
  for (std::int64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(untouched->label(i), i % 4);
  }
}

}  // namespace
}  // namespace tessera::data
