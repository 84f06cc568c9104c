#include "data/prefetcher.hpp"
#include "support/made_up_dataset.hpp"
#include "support/scratch.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <string>
#include <vector>

// Shapes: B images, S x S pixels.

namespace tessera::data {
namespace {

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
  for (auto* const spec_for : {small_spec, augmented_spec}) {
    Loader one = make_training_loader(dataset, cpu_ops(), spec_for(1), {});
    const std::vector<Batch> expected = take(one, 30);  // into the third epoch
    for (const std::int64_t num_workers : {0, 4, 9}) {
      for (const std::int64_t prefetch : {0, 1}) {
        LoaderSpec spec = spec_for(num_workers);
        spec.prefetch = prefetch;
        Loader many = make_training_loader(dataset, cpu_ops(), spec, {});
        for (const Batch& batch : expected) {
          expect_same(many.next().value(), batch);
        }
      }
    }
  }
}

TEST(Loader, StartsAnywhereAsIfItHadBeenRunning) {
  const MadeUp dataset;
  for (const LoaderSpec& spec : {small_spec(), augmented_spec()}) {
    Loader whole = make_training_loader(dataset, cpu_ops(), spec, {});
    const std::vector<Batch> all = take(whole, 28);
    const std::int64_t steps_per_epoch = kSize / (spec.batch_size * 2);
    for (const Cursor start : {Cursor{0, 3}, Cursor{1, 0}, Cursor{1, 4}, Cursor{0, steps_per_epoch}}) {
      Loader resumed = make_training_loader(dataset, cpu_ops(), spec, start);
      const std::int64_t first = (start.epoch * steps_per_epoch + start.step) * 2;
      for (auto number = static_cast<std::size_t>(first); number < all.size(); ++number) {
        expect_same(resumed.next().value(), all[number]);
      }
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
    for (LoaderSpec spec : {small_spec(3), augmented_spec(3)}) {
      spec.dtype = dtype;
      spec.augment.remode = config::EraseMode::kRand;  // noise may differ in fp32's last bit
      Loader on_cpu = make_training_loader(dataset, cpu_ops(), spec, {});
      spec.device = c10::Device(c10::kCUDA, 0);
      Loader on_gpu = make_training_loader(dataset, kernels::ops_for(c10::kCUDA), spec, {});
      for (int i = 0; i < 60; ++i) {
        Batch batch = on_gpu.next().value();
        EXPECT_TRUE(batch.images_B3SS.is_cuda() && batch.labels_B.is_cuda());
        batch.images_B3SS = batch.images_B3SS.cpu();
        batch.labels_B = batch.labels_B.cpu();
        if (batch.shares_B.defined()) {
          EXPECT_TRUE(batch.shares_B.is_cuda() && batch.other_labels_B.is_cuda());
          batch.shares_B = batch.shares_B.cpu();
          batch.other_labels_B = batch.other_labels_B.cpu();
        }
        expect_same(batch, on_cpu.next().value());
      }
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

TEST(Loader, PlainTrainingImagesAreThoseOfEvaluation) {
  const MadeUp dataset;
  LoaderSpec spec = small_spec();
  spec.plain = true;
  Loader training = make_training_loader(dataset, cpu_ops(), spec, {1, 2});
  LoaderSpec one_by_one = small_spec();
  one_by_one.batch_size = 1;
  Loader evaluation = make_evaluation_loader(dataset, cpu_ops(), one_by_one);
  const std::vector<Batch> images = take(evaluation, kSize);
  for (const Batch& batch : take(training, 4)) {
    for (std::size_t i = 0; i < batch.indices.size(); ++i) {
      EXPECT_TRUE(at::equal(batch.images_B3SS[static_cast<std::int64_t>(i)],
                            images[static_cast<std::size_t>(batch.indices[i])].images_B3SS[0]));
    }
  }
}

// Rows in place of images: the same batches, in the same order, with nothing decoded.
TEST(Loader, GivesRowsInPlaceOfImages) {
  const MadeUp cannot_be_decoded(/*bad_index=*/7);
  const MadeUp dataset;
  LoaderSpec spec = small_spec();
  Loader images = make_training_loader(dataset, cpu_ops(), spec, {0, 4});
  spec.rows_ND = at::arange(kSize * 3).view({kSize, 3}).to(at::kFloat);
  Loader rows = make_training_loader(cannot_be_decoded, cpu_ops(), spec, {0, 4});
  for (int step = 0; step < 30; ++step) {
    const Batch expected = images.next().value();
    const Batch actual = rows.next().value();
    EXPECT_EQ(actual.indices, expected.indices);
    EXPECT_EQ(actual.step.epoch, expected.step.epoch);
    EXPECT_EQ(actual.step.step, expected.step.step);
    EXPECT_EQ(actual.micro_step, expected.micro_step);
    EXPECT_TRUE(at::equal(actual.labels_B, expected.labels_B));
    for (std::size_t i = 0; i < actual.indices.size(); ++i) {
      EXPECT_TRUE(at::equal(actual.images_B3SS[static_cast<std::int64_t>(i)], spec.rows_ND[actual.indices[i]]));
    }
  }
  spec.rank = 1;
  spec.world = 4;
  Loader evaluation = make_evaluation_loader(cannot_be_decoded, cpu_ops(), spec);
  std::int64_t num_images = 0;
  while (const auto batch = evaluation.next()) {
    num_images += batch->labels_B.numel();
    EXPECT_EQ(batch->images_B3SS[0][0].item<float>(), static_cast<float>(3 * batch->indices[0]));
  }
  EXPECT_EQ(num_images, 15) << "images 1, 5, ..., 57";
}

}  // namespace
}  // namespace tessera::data
