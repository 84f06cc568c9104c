#include "data/augment.hpp"
#include "data/prefetcher.hpp"
#include "support/scratch.hpp"
#include "tessera/core/error.hpp"
#include "tessera/data/loader.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <vector>

// Shapes: B images, S x S pixels.

namespace tessera::data {
namespace {

constexpr std::int64_t kSize = 61;

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
LoaderSpec small_spec(std::int64_t num_workers = 2) {
  return {.batch_size = 5, .accum_iter = 2, .seed = 8, .input_size = 16, .num_workers = num_workers};
}

const kernels::Ops& cpu_ops() { return kernels::ops_for(c10::kCPU); }

std::vector<Batch> take(Loader& loader, std::size_t count) {
  std::vector<Batch> batches;
  while (batches.size() < count) {
    batches.push_back(loader.next().value());
  }
  return batches;
}

void expect_same(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.indices, b.indices);
  EXPECT_EQ(a.step.epoch, b.step.epoch);
  EXPECT_EQ(a.step.step, b.step.step);
  EXPECT_EQ(a.micro_step, b.micro_step);
  EXPECT_TRUE(at::equal(a.labels_B, b.labels_B));
  EXPECT_TRUE(at::equal(a.images_B3SS, b.images_B3SS));
}

/// The image as the loader should make it, straight from the parts.
at::Tensor prepared(const MadeUp& dataset, const kernels::ImageView& view, const DecodedImage& image) {
  const at::Tensor packed = at::empty({static_cast<std::int64_t>(image.bytes.size())}, at::kByte);
  std::copy(image.bytes.begin(), image.bytes.end(), packed.mutable_data_ptr<std::uint8_t>());
  const at::Tensor views = at::empty({sizeof view}, at::kByte);
  std::memcpy(views.mutable_data_ptr(), &view, sizeof view);
  at::Tensor out_B3SS = at::empty({1, 3, 16, 16});
  kernels::cpu::transform_images(
      packed, views, {.output_size = 16, .mean = dataset.recipe().mean, .std = dataset.recipe().std}, out_B3SS);
  return out_B3SS[0];
}

TEST(Loader, MakesWhatTheSamplerAndTheAugmentationSay) {
  const MadeUp dataset;
  Loader loader = make_training_loader(dataset, cpu_ops(), small_spec(), {2, 5});
  const TrainSampler sampler({.dataset_size = kSize, .batch_size = 5, .accum_iter = 2, .seed = 8});
  for (const Cursor step : {Cursor{2, 5}, Cursor{3, 0}}) {
    for (const std::int64_t micro_step : {0, 1}) {
      const Batch batch = loader.next().value();
      EXPECT_EQ(batch.step.epoch, step.epoch);
      EXPECT_EQ(batch.step.step, step.step);
      EXPECT_EQ(batch.micro_step, micro_step);
      EXPECT_EQ(batch.indices, sampler.indices(step, micro_step));
      ASSERT_EQ(batch.images_B3SS.sizes(), at::IntArrayRef({5, 3, 16, 16}));
      ASSERT_EQ(batch.labels_B.scalar_type(), at::kLong);
      for (std::int64_t i = 0; i < 5; ++i) {
        const std::int64_t index = batch.indices[static_cast<std::size_t>(i)];
        EXPECT_EQ(batch.labels_B[i].item<std::int64_t>(), index % 3);
        std::vector<std::uint8_t> scratch;
        const DecodedImage image = dataset.decode(index, scratch);
        const kernels::ImageView view = training_view(image, dataset.recipe(), 16, 0.5, {8, step.epoch, index});
        EXPECT_TRUE(at::equal(batch.images_B3SS[i], prepared(dataset, view, image)));
      }
    }
  }
}

TEST(Loader, GivesTheSameHoweverManyWorkers) {
  const MadeUp dataset;
  Loader one = make_training_loader(dataset, cpu_ops(), small_spec(1), {});
  const std::vector<Batch> expected = take(one, 30);  // into the third epoch
  for (const std::int64_t num_workers : {0, 4, 9}) {
    for (const std::int64_t prefetch : {0, 1}) {
      LoaderSpec spec = small_spec(num_workers);
      spec.prefetch = prefetch;
      Loader many = make_training_loader(dataset, cpu_ops(), spec, {});
      for (const Batch& batch : expected) {
        expect_same(many.next().value(), batch);
      }
    }
  }
}

TEST(Loader, StartsAnywhereAsIfItHadBeenRunning) {
  const MadeUp dataset;
  Loader whole = make_training_loader(dataset, cpu_ops(), small_spec(), {});
  const std::vector<Batch> all = take(whole, 28);
  for (const Cursor start : {Cursor{0, 3}, Cursor{1, 0}, Cursor{1, 5}, Cursor{0, 6}}) {
    Loader resumed = make_training_loader(dataset, cpu_ops(), small_spec(), start);
    for (auto number = static_cast<std::size_t>((start.epoch * 6 + start.step) * 2); number < all.size(); ++number) {
      expect_same(resumed.next().value(), all[number]);
    }
  }
}

TEST(Loader, AnImageIsTheSameOnEveryRankOfEveryWorld) {
  const MadeUp dataset;
  LoaderSpec spec = small_spec();
  spec.batch_size = 10;
  spec.accum_iter = 1;
  Loader alone = make_training_loader(dataset, cpu_ops(), spec, {});
  const Batch expected = alone.next().value();
  spec.batch_size = 5;
  spec.world = 2;
  for (spec.rank = 0; spec.rank < 2; ++spec.rank) {
    Loader loader = make_training_loader(dataset, cpu_ops(), spec, {});
    EXPECT_TRUE(at::equal(loader.next()->images_B3SS, expected.images_B3SS.narrow(0, spec.rank * 5, 5)));
  }
}

TEST(Loader, ABatchStaysAsItIsWhileItIsHeld) {
  // The loader writes into the memory of batches that nobody holds any longer, and into no other.
  const MadeUp dataset;
  Loader loader = make_training_loader(dataset, cpu_ops(), small_spec(), {});
  const at::Tensor view = loader.next()->images_B3SS[3];
  const at::Tensor before = view.clone();
  std::set<const void*> places;
  for (int i = 0; i < 30; ++i) {
    places.insert(loader.next()->images_B3SS.const_data_ptr());
  }
  EXPECT_TRUE(at::equal(view, before));
  EXPECT_EQ(places.count(view.storage().data()), 0U);
  EXPECT_LE(places.size(), 5U);  // slots: two workers and two more, one of them twice because of the batch held
}

TEST(Loader, EvaluatesEveryImageOnce) {
  const MadeUp dataset;
  LoaderSpec spec = small_spec();
  spec.dtype = c10::kBFloat16;
  spec.world = 3;
  std::multiset<std::int64_t> seen;
  for (spec.rank = 0; spec.rank < 3; ++spec.rank) {
    Loader loader = make_evaluation_loader(dataset, cpu_ops(), spec);
    while (const std::optional<Batch> batch = loader.next()) {
      ASSERT_EQ(batch->images_B3SS.scalar_type(), at::kBFloat16);
      ASSERT_EQ(batch->images_B3SS.size(0), static_cast<std::int64_t>(batch->indices.size()));
      seen.insert(batch->indices.begin(), batch->indices.end());
      const std::int64_t index = batch->indices.back();
      std::vector<std::uint8_t> scratch;
      const DecodedImage image = dataset.decode(index, scratch);
      const at::Tensor expected = prepared(dataset, evaluation_view(image, dataset.recipe(), 16), image);
      EXPECT_TRUE(at::equal(batch->images_B3SS[-1], expected.to(at::kBFloat16)));
    }
    EXPECT_FALSE(loader.next().has_value());
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kSize));
  EXPECT_EQ(std::set<std::int64_t>(seen.begin(), seen.end()).size(), seen.size());
}

TEST(Loader, EvaluatesNothingWhereARankHasNothing) {
  const MadeUp dataset;
  LoaderSpec spec = small_spec();
  spec.world = 100;
  spec.rank = 70;
  Loader loader = make_evaluation_loader(dataset, cpu_ops(), spec);
  EXPECT_FALSE(loader.next().has_value());
}

TEST(Loader, ThrowsAWorkersExceptionAtItsBatch) {
  const MadeUp whole;
  const TrainSampler sampler({.dataset_size = kSize, .batch_size = 5, .accum_iter = 2, .seed = 8});
  const MadeUp dataset(sampler.indices({0, 2}, 1).at(3));  // the sixth batch
  for (const std::int64_t num_workers : {0, 1, 4}) {
    Loader loader = make_training_loader(dataset, cpu_ops(), small_spec(num_workers), {});
    take(loader, 5);
    for (int attempt = 0; attempt < 2; ++attempt) {
      const std::string message = test::message_of<core::Error>([&] { loader.next(); });
      EXPECT_NE(message.find("is a corrupt JPEG file"), std::string::npos) << message;
    }
  }
}

TEST(Loader, RefusesADataSetSmallerThanAStep) {
  const MadeUp dataset;
  LoaderSpec spec = small_spec();
  spec.batch_size = 31;
  EXPECT_THROW(make_training_loader(dataset, cpu_ops(), spec, {}), core::UserError);
}

TEST(Loader, StopsWithBatchesOutstanding) {
  const MadeUp dataset;
  for (int taken = 0; taken < 4; ++taken) {
    Loader loader = make_training_loader(dataset, cpu_ops(), small_spec(4), {});
    take(loader, static_cast<std::size_t>(taken));
  }
  Loader first = make_training_loader(dataset, cpu_ops(), small_spec(1), {});
  first = make_training_loader(dataset, cpu_ops(), small_spec(1), {1, 0});
  EXPECT_EQ(first.next()->step.epoch, 1);
}

TEST(Loader, MakesTheSameBatchesOnAGpu) {
  if (!at::globalContext().hasCUDA()) {
    GTEST_SKIP() << "no CUDA device here";
  }
  const MadeUp dataset;
  for (const c10::ScalarType dtype : {c10::kFloat, c10::kBFloat16}) {
    LoaderSpec spec = small_spec(3);
    spec.dtype = dtype;
    Loader on_cpu = make_training_loader(dataset, cpu_ops(), spec, {});
    spec.device = c10::Device(c10::kCUDA, 0);
    Loader on_gpu = make_training_loader(dataset, kernels::ops_for(c10::kCUDA), spec, {});
    for (int i = 0; i < 60; ++i) {
      Batch batch = on_gpu.next().value();
      EXPECT_TRUE(batch.images_B3SS.is_cuda() && batch.labels_B.is_cuda());
      batch.images_B3SS = batch.images_B3SS.cpu();
      batch.labels_B = batch.labels_B.cpu();
      expect_same(batch, on_cpu.next().value());
    }
  }
}

TEST(Prefetcher, KeepsWithinItsSlots) {
  std::atomic<std::int64_t> furthest{-1};
  const auto work = [&](std::int64_t piece, std::int64_t slot) {
    EXPECT_EQ(slot, piece % 3);
    std::int64_t before = furthest.load();
    while (before < piece && !furthest.compare_exchange_weak(before, piece)) {
    }
  };
  Prefetcher prefetcher({.num_workers = 4, .num_slots = 3, .num_pieces = 20}, work);
  for (std::int64_t piece = 0; piece < 20; ++piece) {
    ASSERT_EQ(prefetcher.wait(), piece % 3);
    ASSERT_EQ(prefetcher.wait(), piece % 3);  // until it is released
    EXPECT_GE(furthest.load(), piece);
    EXPECT_LT(furthest.load(), piece + 3);
    prefetcher.release();
  }
  EXPECT_EQ(prefetcher.wait(), -1);
  EXPECT_EQ(prefetcher.wait(), -1);
}

}  // namespace
}  // namespace tessera::data
