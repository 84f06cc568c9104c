// Saves beside the training, one of which is held up in the file system.
#include "support/scratch.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/config/model_shape.hpp"
#include "train/saver.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

namespace tessera::train {
namespace {

constexpr double kHeldSeconds = 0.2;

// One rank's engine with a small model, and everything that a saver stands on.
class SaverTest : public testing::Test {
 protected:
  SaverTest()
      : platform_(open_platform(config_.runtime, topology::Group::self(), log_)),
        table_(model::build_param_table(small_shape(), {8, 4, 10})),
        engine_({table_, *platform_.collectives, platform_.mesh.world, *platform_.ops},
                engine_options(config_, c10::kCPU, at::kFloat)) {
    engine_.initialise(engine::random_init(*platform_.ops, 0));
    config_.output.output_dir = scratch_.path();
    run_log_ = RunLog(config_.output, 0, 0);
    run_.model_config_json = "{}";
  }

  static config::RunConfig cpu_config() {
    config::RunConfig config;
    config.runtime.device = config::DeviceChoice::kCpu;
    return config;
  }
  static config::ModelShape small_shape() {
    config::ModelShape shape = config::model_preset("tiny");
    shape.num_hidden_layers = 1;
    return shape;
  }
  [[nodiscard]] SaverParts parts() { return {config_.output, platform_, log_, engine_, run_log_}; }
  const state::RunState& after(std::int64_t steps) {
    run_.global_step = steps;
    return run_;
  }

  // The save that writes `latest` waits until somebody reads what it writes, and then finds that it is no file.
  [[nodiscard]] std::thread hold_up_latest() const {
    const std::string pipe = scratch_.file(".tmp-latest");
    EXPECT_EQ(::mkfifo(pipe.c_str(), 0666), 0);
    return std::thread([pipe] {
      std::this_thread::sleep_for(std::chrono::duration<double>(kHeldSeconds));
      const int file = ::open(pipe.c_str(), O_RDONLY);
      std::filesystem::remove(pipe);
      std::string text(100, '\0');
      EXPECT_GT(::read(file, text.data(), text.size()), 0);
      ::close(file);
    });
  }

  test::ScratchDirectory scratch_;
  core::Log log_{core::Log::Level::kWarnings};
  config::RunConfig config_ = cpu_config();
  Platform platform_;
  model::ParamTable table_;
  engine::Engine engine_;
  RunLog run_log_;
  state::RunState run_;
};

TEST_F(SaverTest, ASaveThatIsDueTooSoonWaitsAndSaysSo) {
  testing::internal::CaptureStderr();
  Saver saver(parts());
  std::thread release = hold_up_latest();
  saver.save({"first"}, after(1));
  saver.before_update();
  saver.after_step();
  EXPECT_EQ(saver.saved_step(), -1) << "nothing is known of it yet";
  saver.save({"second"}, after(2));
  saver.settle();
  release.join();
  EXPECT_EQ(saver.saved_step(), 2);
  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_NE(told.find("checkpoint-second is due while checkpoint-first is still being written"), std::string::npos)
      << told;
  EXPECT_NE(told.find("the checkpoint was not saved, training goes on: [io] cannot sync "), std::string::npos) << told;
  run_log_.finish(0);
  const std::string text = test::read_file(scratch_.file("log.txt"));
  const std::size_t waited = text.find("\"waited_seconds\":", text.find("checkpoint-second"));
  ASSERT_NE(waited, std::string::npos) << text;
  EXPECT_GT(std::stod(text.substr(waited + 17)), kHeldSeconds / 2);
  EXPECT_TRUE(checkpoint::Reader(scratch_.file("checkpoint-second")).verify().empty());
}

TEST_F(SaverTest, TheLastOneThrowsWhatItMeets) {
  for (const bool beside : {true, false}) {
    config_.output.async_save = beside;
    Saver saver(parts());
    std::thread release = hold_up_latest();
    const auto message = test::message_of<core::AgreedError>([&] { saver.save_last({"final"}, after(3)); });
    release.join();
    EXPECT_NE(message.find("cannot sync"), std::string::npos) << message;
    EXPECT_EQ(saver.saved_step(), -1);
  }
}

TEST_F(SaverTest, SeveralNamesHaveOneState) {
  config_.output.keep_last = 1;
  Saver saver(parts());
  saver.save({"1"}, after(1));
  saver.save({"best", "2"}, after(2));
  saver.settle();
  EXPECT_EQ(saver.saved_step(), 2);
  EXPECT_TRUE(test::read_file(scratch_.file("checkpoint-best/state.h5")) ==
              test::read_file(scratch_.file("checkpoint-2/state.h5")));
  EXPECT_EQ(test::read_file(scratch_.file("latest")), "checkpoint-2\n");
  EXPECT_FALSE(std::filesystem::exists(scratch_.file("checkpoint-1")));
}

}  // namespace
}  // namespace tessera::train
