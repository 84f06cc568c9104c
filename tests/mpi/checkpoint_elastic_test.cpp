// Saved on N ranks, restored on M, for every pair up to the size of the world.
#include "support/mpi_world.hpp"
#include "support/sample_state.hpp"
#include "support/scratch.hpp"
#include "support/shared_scratch.hpp"
#include "tessera/checkpoint/async_saver.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/checkpoint/restore.hpp"
#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/checkpoint/run_state_json.hpp"
#include "tessera/checkpoint/save.hpp"
#include "tessera/core/error.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace tessera::checkpoint {
namespace {

using core::DType;
using test::SampleState;
using test::SharedScratch;
using test::world;

// The first `size` ranks; the others get a group that they do not use.
topology::Group first_ranks(int size) { return world().split(world().rank() < size ? 0 : 1); }

std::string save_on(int size, const SharedScratch& scratch, const SampleState::Options& options) {
  const topology::Group group = first_ranks(size);
  const std::string name = "from-" + std::to_string(size);
  if (world().rank() < size) {
    const SampleState state(group.rank(), size, options);
    SaveRequest request;
    request.run_dir = scratch.file("run");
    request.name = name;
    request.state = state.description();
    request.run = test::sample_run(size);
    request.group = group;
    const SaveResult result = save(request);
    EXPECT_EQ(result.path, scratch.file("run/checkpoint-" + name));
    EXPECT_EQ(result.bytes, Reader(result.path).num_bytes());
  }
  world().barrier();
  return scratch.file("run/checkpoint-" + name);
}

void restore_on(int size, const std::string& path, const SampleState::Options& options, int saved_on) {
  const topology::Group group = first_ranks(size);
  if (world().rank() < size) {
    SampleState state(group.rank(), size, options);
    state.clear();
    const state::RunState run = restore(path, state.description(), group, {});
    EXPECT_EQ(state.find_difference(), "") << "saved on " << saved_on << ", restored on " << size;
    EXPECT_EQ(to_json(run), to_json(test::sample_run(saved_on)));
  }
  world().barrier();
}

TEST(Elastic, EveryWorldReadsWhatEveryWorldWrote) {
  for (const DType weight : {DType::kBFloat16, DType::kFloat32}) {
    const SharedScratch scratch;
    for (int saved_on = 1; saved_on <= world().size(); ++saved_on) {
      const std::string path = save_on(saved_on, scratch, {.weight = weight});
      for (int restored_on = 1; restored_on <= world().size(); ++restored_on) {
        restore_on(restored_on, path, {.weight = weight}, saved_on);
      }
    }
  }
}

TEST(Elastic, ARankMayOwnNothing) {
  if (world().size() == 1) {
    GTEST_SKIP() << "needs two ranks";
  }
  const SharedScratch scratch;
  const int size = world().size();
  const std::string path = save_on(size, scratch, {.last_rank_is_empty = true});
  restore_on(size, path, {}, size);
  restore_on(size, path, {.last_rank_is_empty = true}, size);
  EXPECT_TRUE(Reader(path).verify().empty());
}

TEST(Elastic, TheTensorsInTheFileDoNotTellTheWorld) {
  const SharedScratch scratch;
  const std::string one = save_on(1, scratch, {});
  const std::string all = save_on(world().size(), scratch, {});
  const Reader first(one);
  const Reader second(all);
  ASSERT_EQ(first.tensors().size(), second.tensors().size());
  for (const StoredTensor& tensor : first.tensors()) {
    const StoredTensor* const other = second.find(tensor.info.parameter, tensor.info.component);
    ASSERT_NE(other, nullptr);
    EXPECT_EQ(other->offset, tensor.offset);
    std::vector<std::byte> left(static_cast<std::size_t>(tensor.num_bytes()));
    std::vector<std::byte> right(left.size());
    first.read(tensor, 0, tensor.num_elements(), left.data());
    second.read(*other, 0, tensor.num_elements(), right.data());
    EXPECT_TRUE(left == right) << tensor.name();
  }
}

// Pieces of several megabytes from every rank into one tensor, over MPI-IO.
TEST(Elastic, WritesLargePiecesSideBySide) {
  const SharedScratch scratch;
  const int size = world().size();
  const int rank = world().rank();
  constexpr std::int64_t kRows = 3001;
  constexpr std::int64_t kColumns = 3001;
  const std::int64_t begin = kRows * kColumns * rank / size;
  const std::int64_t end = kRows * kColumns * (rank + 1) / size;
  std::vector<float> mine(static_cast<std::size_t>(end - begin));
  std::iota(mine.begin(), mine.end(), static_cast<float>(begin));
  SaveRequest request;
  request.run_dir = scratch.file("run");
  request.name = "1";
  request.group = world();
  request.state.tensors = {{"large", state::Component::kWeight, DType::kFloat32, {kRows, kColumns}}};
  request.state.mine = {
      {"large", state::Component::kWeight, DType::kFloat32, {kRows, kColumns}, begin, end, mine.data()}};
  const Reader reader(save(request).path);
  std::vector<float> all(kRows * kColumns);
  reader.read(reader.tensors()[0], 0, kRows * kColumns, all.data());
  std::vector<float> expected(all.size());
  std::iota(expected.begin(), expected.end(), 0.0F);
  EXPECT_TRUE(all == expected);
}

// A failure of the last rank alone ends the save on every rank with its message, and leaves what was there.
TEST(Failure, OfOneRankEndsTheSaveOnAll) {
  const SharedScratch scratch;
  const std::string before = save_on(world().size(), scratch, {.salt = 1});
  const int last = world().size() - 1;
  for (const std::string step : {"write", "sync"}) {
    const SampleState state(world().rank(), world().size(), {.salt = 2});
    SaveRequest request;
    request.run_dir = scratch.file("run");
    request.name = "2";
    request.state = state.description();
    request.run = test::sample_run(100);
    request.group = world();
    request.files = io::FileSystem([&](std::string_view taken, const std::string& path) {
      if (taken == step && world().rank() == last && path.ends_with("state.h5")) {
        throw std::runtime_error("the disk of rank " + std::to_string(last) + " is on fire");
      }
    });
    const auto message = test::message_of<core::AgreedError>([&] { save(request); });
    EXPECT_EQ(message, "the disk of rank " + std::to_string(last) + " is on fire");
    world().barrier();
    EXPECT_EQ(test::list_directory(scratch.file("run")),
              (std::vector<std::string>{"checkpoint-from-" + std::to_string(world().size()), "latest"}));
    EXPECT_EQ(find_latest(scratch.file("run")), before);
  }
}

// The threads of all ranks save while the ranks themselves compute and communicate.
TEST(Async, LeavesTheFilesOfAPlainSaveWhileTheRanksGoOn) {
  const SharedScratch scratch;
  SampleState state(world().rank(), world().size(), {});
  const auto request_of = [&](const std::string& run, const state::StateDescription& what, const topology::Group& on) {
    SaveRequest request;
    request.run_dir = scratch.file(run);
    request.name = "1";
    request.state = what;
    request.run = test::sample_run(1);
    request.group = on;
    request.created = "2026-01-31T12:00:00Z";
    return request;
  };
  save(request_of("plain", state.description(), world()));
  AsyncSaver saver(world(), state.description(), {});
  for (int round = 0; round < 3; ++round) {
    state.fill();
    saver.start(state.description(), [&](const state::StateDescription& copy, const topology::Group& group) {
      save(request_of("async", copy, group));
    });
    saver.wait_for_snapshot();
    state.clear();
    for (int step = 0; step < 300; ++step) {
      std::vector<double> values(100, step);
      world().sum(values);
      ASSERT_EQ(values[99], step * world().size());
    }
    saver.wait();
    world().barrier();
    for (const std::string file : {"/checkpoint-1/state.h5", "/checkpoint-1/manifest.json"}) {
      EXPECT_TRUE(test::read_file(scratch.file("plain" + file)) == test::read_file(scratch.file("async" + file)))
          << file;
    }
    world().barrier();
  }
}

TEST(Async, AFailureOfOneRankReachesAllThatWait) {
  const SharedScratch scratch;
  const SampleState state(world().rank(), world().size(), {});
  const int last = world().size() - 1;
  for (const std::string failing : {"copy", "write"}) {
    const bool fails_here = world().rank() == last;
    SnapshotMeans means;
    means.to_host = [&](void* host, const void* from, std::size_t bytes) {
      core::require(!fails_here || failing != "copy", "test", "rank {} is on fire", last);
      std::memcpy(host, from, bytes);
    };
    AsyncSaver saver(world(), state.description(), means);
    saver.start(state.description(), [&](const state::StateDescription& copy, const topology::Group& group) {
      SaveRequest request;
      request.run_dir = scratch.file("run");
      request.name = "1";
      request.state = copy;
      request.run = test::sample_run(1);
      request.group = group;
      request.files = io::FileSystem([&](std::string_view step, const std::string& /*path*/) {
        core::require(!fails_here || step != failing, "test", "rank {} is on fire", last);
      });
      save(request);
    });
    EXPECT_EQ(test::message_of<core::AgreedError>([&] { saver.wait(); }),
              "[test] rank " + std::to_string(last) + " is on fire");
    world().barrier();
    EXPECT_FALSE(find_latest(scratch.file("run")).has_value());
  }
}

TEST(Failure, WhenRanksDescribeDifferentTensors) {
  if (world().size() == 1) {
    GTEST_SKIP() << "needs two ranks";
  }
  const SharedScratch scratch;
  SampleState state(world().rank(), world().size(), {});
  if (world().rank() == 1) {
    state.description().tensors.pop_back();
  }
  SaveRequest request;
  request.run_dir = scratch.file("run");
  request.name = "2";
  request.state = state.description();
  request.run = test::sample_run(1);
  request.group = world();
  EXPECT_EQ(test::message_of<core::AgreedError>([&] { save(request); }),
            "[checkpoint] the ranks describe different tensors");
}

TEST(Failure, OfAReadIsTheSameOnAllRanks) {
  const SharedScratch scratch;
  const std::string path = save_on(world().size(), scratch, {});
  const SampleState state(world().rank(), world().size(), {});
  const auto message =
      test::message_of<core::UserError>([&] { restore(path + "-not", state.description(), world(), {}); });
  EXPECT_EQ(message, "[checkpoint] there is no checkpoint directory " + path + "-not");
}

}  // namespace
}  // namespace tessera::checkpoint
