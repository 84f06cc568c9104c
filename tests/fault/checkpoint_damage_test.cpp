// Checkpoints that were whole once: every change of their files is found, by name, and never crashes a reader.
#include "support/sample_state.hpp"
#include "support/scratch.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/checkpoint/restore.hpp"
#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/checkpoint/save.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/philox.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace tessera::checkpoint {
namespace {

namespace fs = std::filesystem;
using test::SampleState;
using test::ScratchDirectory;

class Damage : public testing::Test {
 protected:
  Damage() : path_(save_sample("1", 1)), state_(path_ + "/state.h5"), manifest_(path_ + "/manifest.json") {}

  std::string save_sample(const std::string& name, int salt) const {
    const SampleState state(0, 1, {.salt = salt});
    SaveRequest request;
    request.run_dir = scratch_.path();
    request.name = name;
    request.state = state.description();
    request.run = test::sample_run(salt);
    return save(request).path;
  }

  // What opening and reading everything says; empty where nothing is found.
  [[nodiscard]] std::string verdict() const {
    try {
      const auto problems = Reader(path_).verify();
      return problems.empty() ? "" : problems.front();
    } catch (const core::UserError& error) {
      return error.what();
    }
  }

  static void flip(std::string& bytes, std::size_t position, unsigned bit) {
    bytes[position] = static_cast<char>(static_cast<unsigned char>(bytes[position]) ^ (1U << bit));
  }

  ScratchDirectory scratch_;
  std::string path_;
  std::string state_;
  std::string manifest_;
};

TEST_F(Damage, OfAnyBitOfTheStateFileIsFound) {
  EXPECT_EQ(verdict(), "");
  const std::string whole = test::read_file(state_);
  constexpr std::uint64_t kRounds = 1500;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    const core::Philox4 random = core::philox(3, round, 0);
    // Half of the places in the first pages, where HDF5's own structure is dense.
    const std::size_t range = round % 2 == 0 ? whole.size() : 8192;
    const std::size_t position = random.value[0] % range;
    std::string damaged = whole;
    flip(damaged, position, random.value[1] % 8);
    test::write_file(state_, damaged);
    ASSERT_NE(verdict(), "") << "byte " << position;
  }
}

TEST_F(Damage, OfATensorIsNamedWithItsRange) {
  std::string bytes = test::read_file(state_);
  {
    const Reader reader(path_);
    const StoredTensor* const tensor = reader.find("classifier.bias", state::Component::kExpAvg);
    ASSERT_NE(tensor, nullptr);
    flip(bytes, static_cast<std::size_t>(tensor->offset) + 13, 5);
  }
  test::write_file(state_, bytes);
  const std::string message = verdict();
  EXPECT_NE(message.find(state_ + " is damaged: classifier.bias/exp_avg, elements 0 to 10"), std::string::npos)
      << message;
  SampleState state(0, 1, {.salt = 1});
  EXPECT_EQ(
      test::message_of<core::UserError>([&] { restore(path_, state.description(), topology::Group::self(), {}); }),
      message);
}

TEST_F(Damage, OfEveryLengthIsFound) {
  const std::string whole = test::read_file(state_);
  for (std::size_t size = 0; size < whole.size(); size += 997) {
    test::write_file(state_, whole.substr(0, size));
    EXPECT_NE(verdict().find("bytes instead of " + std::to_string(whole.size())), std::string::npos) << size;
  }
  test::write_file(state_, whole + "x");
  EXPECT_NE(verdict().find("it is not whole"), std::string::npos);
}

TEST_F(Damage, MissingFilesAreNamed) {
  fs::remove(state_);
  EXPECT_NE(verdict().find("state.h5 cannot be read: No such file or directory"), std::string::npos) << verdict();
  fs::remove(manifest_);
  EXPECT_NE(verdict().find("has no manifest.json: it is not a checkpoint, or not a whole one"), std::string::npos);
  fs::remove_all(path_);
  EXPECT_NE(verdict().find("there is no checkpoint directory"), std::string::npos);
}

TEST_F(Damage, ExchangedFilesAreFound) {
  const std::string other = save_sample("2", 2);
  const std::string state = test::read_file(state_);
  fs::copy_file(other + "/state.h5", state_, fs::copy_options::overwrite_existing);
  EXPECT_NE(verdict().find("does not agree with the checksum"), std::string::npos) << verdict();
  test::write_file(state_, state);
  fs::copy_file(other + "/manifest.json", manifest_, fs::copy_options::overwrite_existing);
  EXPECT_NE(verdict(), "");
}

// Of two runs at the same step, which differ in their values alone.
TEST_F(Damage, ExchangedFilesOfLikeRunsAreFound) {
  const SampleState state(0, 1, {.salt = 9});
  SaveRequest request;
  request.run_dir = scratch_.file("other");
  request.name = "1";
  request.state = state.description();
  request.run = test::sample_run(1);
  const std::string other = save(request).path;
  fs::copy_file(other + "/state.h5", state_, fs::copy_options::overwrite_existing);
  EXPECT_NE(verdict().find("are not what was written"), std::string::npos) << verdict();
}

TEST_F(Damage, OfOneCheckpointLeavesTheOneBeforeIt) {
  const std::string second = save_sample("2", 2);
  EXPECT_EQ(find_latest(scratch_.path()), second);
  fs::resize_file(second + "/state.h5", 100);
  EXPECT_EQ(find_latest(scratch_.path()), path_);
  const auto entries = list_checkpoints(scratch_.path());
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].name, "checkpoint-2");
  EXPECT_NE(entries[0].problem.find("100 bytes instead of"), std::string::npos);
  EXPECT_TRUE(entries[1].whole());
  fs::remove(manifest_);
  EXPECT_EQ(find_latest(scratch_.path()), std::nullopt);
}

}  // namespace
}  // namespace tessera::checkpoint
