#include "support/sample_state.hpp"
#include "support/scratch.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/checkpoint/save.hpp"
#include "tessera/core/error.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

namespace tessera::checkpoint {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

class RunDirectory : public testing::Test {
 protected:
  void save_sample(const std::string& name, int step) const {
    const test::SampleState state(0, 1, {.only_weights = true});
    SaveRequest request;
    request.run_dir = scratch_.path();
    request.name = name;
    request.state = state.description();
    request.run = test::sample_run(step);
    save(request);
  }

  [[nodiscard]] Names names() const { return test::list_directory(scratch_.path()); }

  test::ScratchDirectory scratch_;
};

TEST_F(RunDirectory, ListsByStepAndFindsTheLatest) {
  EXPECT_TRUE(list_checkpoints(scratch_.file("none")).empty());
  EXPECT_EQ(find_latest(scratch_.file("none")), std::nullopt);
  save_sample("10", 1000);
  save_sample("9", 900);
  save_sample("step-950", 950);
  Names listed;
  for (const CheckpointEntry& entry : list_checkpoints(scratch_.path())) {
    EXPECT_TRUE(entry.whole()) << entry.problem;
    EXPECT_GT(entry.bytes, 1000);
    listed.push_back(entry.name);
  }
  EXPECT_EQ(listed, (Names{"checkpoint-9", "checkpoint-step-950", "checkpoint-10"}));
  EXPECT_EQ(find_latest(scratch_.path()), scratch_.file("checkpoint-step-950"));  // what `latest` names
  test::write_file(scratch_.file("latest"), "checkpoint-9");                      // as somebody who goes back would
  EXPECT_EQ(find_latest(scratch_.path()), scratch_.file("checkpoint-9"));
  for (const std::string text : {"", "../elsewhere", "checkpoint-/..", "checkpoint-77"}) {
    test::write_file(scratch_.file("latest"), text);
    EXPECT_EQ(find_latest(scratch_.path()), scratch_.file("checkpoint-10")) << text;
  }
}

// What cannot be read is not taken for what is not there, and a pipe is not waited for.
TEST_F(RunDirectory, SaysWhatItCannotRead) {
  save_sample("1", 1);
  test::write_file(scratch_.file("file"), "");
  const auto no_list = test::message_of<core::UserError>([&] { list_checkpoints(scratch_.file("file")); });
  EXPECT_EQ(no_list, "[checkpoint] cannot list " + scratch_.file("file") + ": Not a directory");
  fs::create_directory_symlink("checkpoint-2", scratch_.file("checkpoint-2"));
  fs::create_directory(scratch_.file("checkpoint-3"));
  ASSERT_EQ(::mkfifo(scratch_.file("checkpoint-3/manifest.json").c_str(), 0600), 0);
  fs::remove(scratch_.file("latest"));
  ASSERT_EQ(::mkfifo(scratch_.file("latest").c_str(), 0600), 0);
  const auto entries = list_checkpoints(scratch_.path());
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].problem,
            "[checkpoint] " + entries[0].path + " cannot be read: Too many levels of symbolic links");
  EXPECT_EQ(entries[1].problem,
            "[checkpoint] " + entries[1].path + " has no manifest.json: it is not a checkpoint, or not a whole one");
  EXPECT_EQ(find_latest(scratch_.path()), scratch_.file("checkpoint-1"));
}

TEST_F(RunDirectory, RecoversFromEveryLeftOver) {
  save_sample("1", 1);
  save_sample("2", 2);
  fs::rename(scratch_.file("checkpoint-2"), scratch_.file(".old-checkpoint-2"));
  fs::create_directory(scratch_.file(".tmp-checkpoint-2"));
  fs::copy(scratch_.file("checkpoint-1"), scratch_.file(".old-checkpoint-1"));
  test::write_file(scratch_.file(".tmp-latest"), "checkpo");
  test::write_file(scratch_.file(".tmp-mine"), "somebody else's");
  const auto done = recover(scratch_.path());
  ASSERT_EQ(done.size(), 4U);
  EXPECT_EQ(done[0], "removed .old-checkpoint-1, which an interrupted save or removal left");
  EXPECT_EQ(done[1], "put back checkpoint-2, which an interrupted save was about to replace");
  EXPECT_EQ(names(), (Names{".tmp-mine", "checkpoint-1", "checkpoint-2", "latest"}));
  EXPECT_EQ(find_latest(scratch_.path()), scratch_.file("checkpoint-2"));
  EXPECT_TRUE(recover(scratch_.path()).empty());
}

TEST_F(RunDirectory, PrunesTheOldest) {
  for (int step = 1; step <= 5; ++step) {
    save_sample(std::to_string(step), step);
  }
  save_sample("best", 2);
  test::write_file(scratch_.file("latest"), "checkpoint-5\n");
  EXPECT_TRUE(prune(scratch_.path(), {.keep_last = 0}).empty());
  const PruneRequest request{.keep_last = 2, .keep = {"checkpoint-best"}, .dry_run = true};
  EXPECT_EQ(prune(scratch_.path(), request), (Names{"checkpoint-1", "checkpoint-2", "checkpoint-3"}));
  EXPECT_EQ(names().size(), 7U);
  EXPECT_EQ(prune(scratch_.path(), {.keep_last = 2, .keep = {"checkpoint-best"}}).size(), 3U);
  EXPECT_EQ(names(), (Names{"checkpoint-4", "checkpoint-5", "checkpoint-best", "latest"}));
}

TEST_F(RunDirectory, PruningKeepsTheLatestTheDamagedAndTheOnlyWholeOne) {
  for (int step = 1; step <= 4; ++step) {
    save_sample(std::to_string(step), step);
  }
  test::write_file(scratch_.file("latest"), "checkpoint-1\n");
  fs::resize_file(scratch_.file("checkpoint-4/state.h5"), 10);
  EXPECT_EQ(prune(scratch_.path(), {.keep_last = 1}), Names{"checkpoint-2"});
  EXPECT_EQ(names(), (Names{"checkpoint-1", "checkpoint-3", "checkpoint-4", "latest"}));
  fs::resize_file(scratch_.file("checkpoint-3/state.h5"), 10);
  EXPECT_TRUE(prune(scratch_.path(), {.keep_last = 1}).empty());
  EXPECT_EQ(find_latest(scratch_.path()), scratch_.file("checkpoint-1"));
}

}  // namespace
}  // namespace tessera::checkpoint
