#include "tessera/core/error.hpp"
#include "tessera/data/sampler.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

namespace tessera::data {
namespace {

using Indices = std::vector<std::int64_t>;

TEST(EpochOrder, IsAPermutation) {
  for (const std::int64_t size : {0, 1, 2, 3, 1000}) {
    Indices order = epoch_order(size, 5, 2);
    std::sort(order.begin(), order.end());
    Indices expected(static_cast<std::size_t>(size));
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(order, expected);
  }
}

TEST(EpochOrder, DependsOnSeedAndEpoch) {
  const Indices order = epoch_order(1000, 5, 2);
  EXPECT_EQ(epoch_order(1000, 5, 2), order);
  EXPECT_NE(epoch_order(1000, 5, 3), order);
  EXPECT_NE(epoch_order(1000, 6, 2), order);
  // The order is part of what a checkpoint promises: it must not change from version to version.
  EXPECT_EQ(epoch_order(8, 0, 0), (Indices{1, 4, 7, 6, 5, 3, 0, 2}));
}

TEST(EpochOrder, PutsEveryImageEverywhere) {
  // Counts of image i at position p over many epochs: chi-squared of a 6 x 6 table with 25 degrees of freedom.
  constexpr std::int64_t kSize = 6;
  constexpr std::int64_t kEpochs = 6000;
  std::vector<double> counts(kSize * kSize);
  for (std::int64_t epoch = 0; epoch < kEpochs; ++epoch) {
    const Indices order = epoch_order(kSize, 11, epoch);
    for (std::size_t position = 0; position < kSize; ++position) {
      ++counts[position * kSize + static_cast<std::size_t>(order[position])];
    }
  }
  const double expected = static_cast<double>(kEpochs) / kSize;
  double chi_squared = 0;
  for (const double count : counts) {
    chi_squared += (count - expected) * (count - expected) / expected;
  }
  EXPECT_LT(chi_squared, 52.6);  // 0.1% of fair shuffles exceed it
}

/// The images of one optimizer step, from every rank.
Indices step_of_world(const SamplerSpec& base, int world, Cursor step) {
  SamplerSpec spec = base;
  spec.world = world;
  Indices all;
  for (std::int64_t micro_step = 0; micro_step < spec.accum_iter; ++micro_step) {
    for (spec.rank = 0; spec.rank < world; ++spec.rank) {
      const Indices part = TrainSampler(spec).indices(step, micro_step);
      all.insert(all.end(), part.begin(), part.end());
    }
  }
  return all;
}

TEST(TrainSampler, GlobalBatchesAreTheSameForEveryWorld) {
  // 48 images a step however they are divided.
  const Indices order = epoch_order(500, 3, 4);
  for (const int world : {1, 2, 3, 4, 6, 8}) {
    for (const std::int64_t accum_iter : {1, 2}) {
      const SamplerSpec spec{
          .dataset_size = 500, .batch_size = 48 / accum_iter / world, .accum_iter = accum_iter, .seed = 3};
      EXPECT_EQ(
          TrainSampler({.dataset_size = 500, .batch_size = spec.batch_size, .accum_iter = accum_iter, .world = world})
              .steps_per_epoch(),
          10);
      for (const std::int64_t step : {0, 1, 9}) {
        const Indices expected(order.begin() + step * 48, order.begin() + (step + 1) * 48);
        EXPECT_EQ(step_of_world(spec, world, {4, step}), expected) << world << " ranks, step " << step;
      }
    }
  }
}

TEST(TrainSampler, AnEpochHasNoImageTwice) {
  for (int world = 1; world <= 8; ++world) {
    const SamplerSpec spec{.dataset_size = 103, .batch_size = 3, .accum_iter = 2, .seed = 9};
    const std::int64_t num_steps = 103 / (6 * world);
    std::set<std::int64_t> seen;
    for (std::int64_t step = 0; step < num_steps; ++step) {
      const Indices images = step_of_world(spec, world, {0, step});
      seen.insert(images.begin(), images.end());
    }
    EXPECT_EQ(static_cast<std::int64_t>(seen.size()), num_steps * 6 * world);
  }
}

TEST(TrainSampler, ServesManyThreadsAtAnEpochsBoundary) {
  const TrainSampler sampler({.dataset_size = 2000, .batch_size = 10, .seed = 1});
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (std::size_t thread = 0; thread < wrong.size(); ++thread) {
    threads.emplace_back([&, thread] {
      for (std::int64_t round = 0; round < 40; ++round) {
        const std::int64_t epoch = (round + static_cast<std::int64_t>(thread)) % 3;
        const Indices order = epoch_order(2000, 1, epoch);
        wrong[thread] += sampler.indices({epoch, 7}, 0) != Indices(order.begin() + 70, order.begin() + 80) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST(TrainSampler, RefusesADataSetSmallerThanAStep) {
  EXPECT_NO_THROW(TrainSampler({.dataset_size = 24, .batch_size = 4, .accum_iter = 3, .world = 2}));
  EXPECT_THROW(TrainSampler({.dataset_size = 23, .batch_size = 4, .accum_iter = 3, .world = 2}), core::UserError);
  EXPECT_THROW(TrainSampler({.dataset_size = 23, .batch_size = 4, .rank = 2, .world = 2}), core::Error);
  const TrainSampler sampler({.dataset_size = 24, .batch_size = 4, .accum_iter = 3});
  EXPECT_THROW((void)sampler.indices({0, 2}, 0), core::Error);
  EXPECT_THROW((void)sampler.indices({0, 1}, 3), core::Error);
}

TEST(EvaluationIndices, TakeEveryImageOnce) {
  for (int world = 1; world <= 8; ++world) {
    Indices all;
    for (int rank = 0; rank < world; ++rank) {
      const Indices mine = evaluation_indices(101, rank, world);
      EXPECT_NEAR(static_cast<double>(mine.size()), 101.0 / world, 1);
      EXPECT_EQ(mine.front(), rank);
      all.insert(all.end(), mine.begin(), mine.end());
    }
    std::sort(all.begin(), all.end());
    Indices expected(101);
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(all, expected);
  }
  EXPECT_TRUE(evaluation_indices(2, 3, 4).empty());
}

}  // namespace
}  // namespace tessera::data
