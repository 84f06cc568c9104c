// A save is failed, and killed, at every one of its steps in turn. Whatever happens, a whole checkpoint is there, and
// the directory can be put in order.
#include "support/sample_state.hpp"
#include "support/scratch.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/checkpoint/restore.hpp"
#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/checkpoint/save.hpp"
#include "tessera/core/error.hpp"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>
#include <string>
#include <vector>

namespace tessera::checkpoint {
namespace {

using test::SampleState;
using test::ScratchDirectory;

constexpr int kOldSalt = 1;
constexpr int kNewSalt = 2;

// How a save takes the place of what was there.
struct Case {
  const char* name;
  bool same_name;     // the new checkpoint replaces the old one
  bool can_exchange;  // on a file system that exchanges two names at once
};
void PrintTo(const Case& value, std::ostream* out) { *out << value.name; }

class EveryStep : public testing::TestWithParam<Case> {
 protected:
  static SaveRequest request_of(const std::string& run_dir, const std::string& name, const SampleState& state,
                                int step) {
    SaveRequest request;
    request.run_dir = run_dir;
    request.name = name;
    request.state = state.description();
    request.run = test::sample_run(step);
    return request;
  }

  static void save_old(const std::string& run_dir) {
    const SampleState state(0, 1, {.salt = kOldSalt});
    save(request_of(run_dir, "1", state, 1));
  }

  void save_new(const std::string& run_dir, const io::FileSystem::Observer& observer) const {
    const SampleState state(0, 1, {.salt = kNewSalt});
    SaveRequest request = request_of(run_dir, GetParam().same_name ? "1" : "2", state, 2);
    request.files = io::FileSystem(observer, GetParam().can_exchange);
    save(request);
  }

  std::vector<std::string> steps_of_a_save() const {
    const ScratchDirectory scratch;
    save_old(scratch.path());
    std::vector<std::string> steps;
    save_new(scratch.path(), [&](std::string_view step, const std::string& path) {
      steps.push_back(std::string(step) + " " + path.substr(scratch.path().size()));
    });
    return steps;
  }

  // The old or the new state, all of it.
  static int salt_of_latest(const std::string& run_dir) {
    const auto latest = find_latest(run_dir);
    if (!latest) {
      return -1;
    }
    for (const int salt : {kOldSalt, kNewSalt}) {
      SampleState state(0, 1, {.salt = salt});
      state.clear();
      const state::RunState run = restore(*latest, state.description(), topology::Group::self(), {});
      if (state.find_difference().empty() && run.global_step == salt) {
        return salt;
      }
    }
    return -2;
  }

  // What a run that starts again finds, and leaves.
  static void expect_order(const std::string& run_dir, const std::string& when) {
    const auto done = recover(run_dir);
    EXPECT_GT(salt_of_latest(run_dir), 0) << when;
    for (const std::string& name : test::list_directory(run_dir)) {
      EXPECT_TRUE(name == "latest" || name.starts_with("checkpoint-")) << when << ": " << name << " is left";
    }
    for (const CheckpointEntry& entry : list_checkpoints(run_dir)) {
      EXPECT_TRUE(Reader(entry.path).verify().empty()) << when;
    }
    EXPECT_TRUE(recover(run_dir).empty()) << when;
  }
};

TEST_P(EveryStep, WhichFailsLeavesAWholeCheckpoint) {
  const auto steps = steps_of_a_save();
  ASSERT_GT(steps.size(), 30U);
  for (std::size_t failing = 0; failing < steps.size(); ++failing) {
    const ScratchDirectory scratch;
    save_old(scratch.path());
    std::size_t taken = 0;
    const auto message = test::message_of<core::AgreedError>([&] {
      save_new(scratch.path(), [&](std::string_view /*step*/, const std::string& /*path*/) {
        if (taken++ == failing) {
          throw std::runtime_error("the disk is full");
        }
      });
    });
    // To remove what was replaced is the one step without which a save is done.
    const bool only_tidies = failing + 1 == steps.size() && steps[failing].starts_with("remove");
    EXPECT_EQ(message, only_tidies ? "nothing was thrown" : "the disk is full") << steps[failing];
    EXPECT_GT(salt_of_latest(scratch.path()), 0) << "after failing to " << steps[failing];
    expect_order(scratch.path(), "after failing to " + steps[failing]);
  }
}

TEST_P(EveryStep, WhereTheProgramIsKilledLeavesAWholeCheckpoint) {
  const auto steps = steps_of_a_save();
  for (std::size_t last = 0; last < steps.size(); ++last) {
    const ScratchDirectory scratch;
    save_old(scratch.path());
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      std::size_t taken = 0;
      save_new(scratch.path(), [&](std::string_view /*step*/, const std::string& /*path*/) {
        if (taken++ == last) {
          ::raise(SIGKILL);
        }
      });
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << steps[last];
    expect_order(scratch.path(), "killed before " + steps[last]);
  }
}

TEST_P(EveryStep, IsTakenInTheOrderThatKeepsItSafe) {
  const auto steps = steps_of_a_save();
  const auto at = [&](const std::string& step) {
    const auto found = std::find(steps.begin(), steps.end(), step);
    EXPECT_NE(found, steps.end()) << step;
    return found - steps.begin();
  };
  const std::string name = GetParam().same_name ? "checkpoint-1" : "checkpoint-2";
  const std::string temporary = "/.tmp-" + name;
  const auto published = at(GetParam().same_name && GetParam().can_exchange ? "exchange /" + name : "rename /" + name);
  EXPECT_LT(at("write " + temporary + "/state.h5"), at("sync " + temporary + "/state.h5"));
  EXPECT_LT(at("sync " + temporary + "/state.h5"), at("write " + temporary + "/manifest.json"));
  EXPECT_LT(at("sync " + temporary + "/manifest.json"), at("sync directory " + temporary));
  EXPECT_LT(at("sync directory " + temporary), published);
  EXPECT_LT(published, at("rename /latest"));
}

INSTANTIATE_TEST_SUITE_P(OfASave, EveryStep,
                         testing::Values(Case{"beside_the_old_one", false, true},
                                         Case{"in_place_of_the_old_one", true, true},
                                         Case{"in_place_without_exchange", true, false}),
                         [](const auto& instance) { return std::string(instance.param.name); });

// A file system with room for one checkpoint and not for two.
TEST(DiskFull, EndsTheSaveWithOneMessageAndKeepsTheLastCheckpoint) {
  const ScratchDirectory scratch;
  if (::mount("tmpfs", scratch.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "mounting a small file system needs root";
  }
  constexpr std::int64_t kElements = 120000;
  std::vector<float> values(kElements, 1.0F);
  SaveRequest request;
  request.run_dir = scratch.path();
  request.name = "1";
  request.run = test::sample_run(1);
  request.state.tensors = {{"w", state::Component::kWeight, core::DType::kFloat32, {kElements}}};
  request.state.mine = {
      {"w", state::Component::kWeight, core::DType::kFloat32, {kElements}, 0, kElements, values.data()}};
  const std::string path = save(request).path;
  request.name = "2";
  const auto message = test::message_of<core::AgreedError>([&] { save(request); });
  EXPECT_NE(message.find("No space left on device"), std::string::npos) << message;
  EXPECT_EQ(test::list_directory(scratch.path()), (std::vector<std::string>{"checkpoint-1", "latest"}));
  EXPECT_EQ(find_latest(scratch.path()), path);
  EXPECT_TRUE(Reader(path).verify().empty());
  // With no room for even the structure HDF5 meets it first, and has more to say than anybody can use.
  EXPECT_NE(test::run_command("cat /dev/zero > " + scratch.file("fill")).status, 0);
  const auto none = test::message_of<core::AgreedError>([&] { save(request); });
  EXPECT_NE(none.find("file write failed: No space left on device"), std::string::npos) << none;
  EXPECT_EQ(none.find('\n'), std::string::npos) << none;
  ::umount(scratch.path().c_str());
}

}  // namespace
}  // namespace tessera::checkpoint
