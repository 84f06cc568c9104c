// What a person sees of a run: one line on a terminal, plain lines elsewhere, and TensorBoard's curves.
#include "support/small_run.hpp"
#include "tessera/core/table.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <regex>
#include <string>
#include <vector>

namespace tessera::test {
namespace {

class WatchingTest : public testing::Test {
 protected:
  void SetUp() override { write_small_dataset(file("data"), 200, 50); }
  [[nodiscard]] std::string file(const std::string& name) const { return scratch_.file(name); }

  // What the command writes to a terminal of this width: every state that a line of it was in.
  [[nodiscard]] std::vector<std::string> on_terminal(const std::string& command, int columns) const {
    write_file(file("command.sh"), "stty cols " + std::to_string(columns) + "\n" + command + "\n");
    const CommandResult result = run_command("TERM=xterm LANG=C.UTF-8 LC_ALL= NO_COLOR= script -qec 'bash " +
                                             file("command.sh") + "' " + file("typescript") + " </dev/null");
    EXPECT_EQ(result.status, 0) << result.output;
    std::vector<std::string> states{""};
    for (const char byte : std::regex_replace(result.output, std::regex("\x1b\\[\\d*[mK]"), "")) {
      if (byte == '\r' || byte == '\n') {
        states.emplace_back();
      } else {
        states.back() += byte;
      }
    }
    return states;
  }

  [[nodiscard]] std::string command(const std::string& flags) const {
    return std::string(TESSERA_BIN) + " finetune --device cpu --dataset fashion-mnist --data_path " + file("data") +
           " --model_config " + file("data") +
           "/model.json --input_size 28 --patch_size 7 --num_workers 1 --epochs 20 --warmup_epochs 1 --batch_size 10 " +
           flags;
  }

  static bool is_live(const std::string& state) {
    return state.find("━") != std::string::npos && state.starts_with("epoch ");
  }
  static std::ptrdiff_t num_live(const std::vector<std::string>& states) {
    return std::ranges::count_if(states, is_live);
  }

  ScratchDirectory scratch_;
};

TEST_F(WatchingTest, ATerminalHasOneLineThatFits) {
  if (run_command("script --version").status != 0) {
    GTEST_SKIP() << "script (of bsdutils), which makes a terminal, is not here";
  }
  for (const std::string& launcher : {std::string(), std::string(TESSERA_MPIEXEC) + " --oversubscribe -n 2 "}) {
    const int columns = launcher.empty() ? 60 : 100;
    const std::vector<std::string> states = on_terminal(launcher + command(""), columns);
    EXPECT_GT(num_live(states), 3) << "replaced as it goes, " << launcher;
    for (const std::string& state : states) {
      EXPECT_FALSE(is_live(state) && static_cast<int>(core::display_width(state)) >= columns) << state;
      EXPECT_EQ(state.find(" [ 20/"), std::string::npos) << "a plain line beside it: " << state;
    }
    EXPECT_TRUE(std::ranges::any_of(
        states, [](const std::string& state) { return state.starts_with("epoch 19: train loss"); }));
  }
}

TEST_F(WatchingTest, AFileHasPlainLines) {
  const CommandResult result = run_command("TERM=xterm timeout 60 " + command("--steps_per_print 5"));
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_EQ(result.output.find('\x1b'), std::string::npos) << "no colour";
  EXPECT_EQ(result.output.find('\r'), std::string::npos) << "nothing is replaced";
  EXPECT_NE(result.output.find("epoch 2 [ 5/20] loss "), std::string::npos) << result.output.substr(0, 4000);
  EXPECT_EQ(result.output.find("epoch 2 [ 6/20] loss "), std::string::npos);
}

using Json = nlohmann::json;

// Figures of a file of JSON lines by step, in the single precision that TensorBoard keeps.
Json figures_of(const std::string& path, const std::string& key) {
  Json figures = Json::array();
  const std::vector<std::string> steps = column(path, "step");
  const std::vector<std::string> values = column(path, key);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    figures.push_back({std::stoll(steps[i]), static_cast<double>(std::stof(values[i]))});
  }
  return figures;
}

TEST_F(WatchingTest, TensorBoardReadsTheEventsOfAResumedRun) {
  if (!python_has("tensorboard")) {
    GTEST_SKIP() << "the Python package tensorboard is not here";
  }
  const std::string out = file("run");
  const std::string flags = "--epochs 3 --batch_size 20 --save_every_steps 4 ";
  ASSERT_EQ(finetune(2, file("data"), out, flags + "--max_steps 7").status, 0);
  const CommandResult resumed = finetune(2, file("data"), out, flags + "--resume " + out + "/checkpoint-step-4");
  ASSERT_EQ(resumed.status, 0) << resumed.output;
  const CommandResult read = run_command("(" + python() + " " + TESSERA_TEST_PYTHON + "/read_events.py " + out + " >" +
                                         file("events.json") + ")");
  ASSERT_EQ(read.status, 0) << read.output;
  const Json events = Json::parse(read_file(file("events.json")));
  for (const std::string key : {"loss", "lr", "grad_norm", "acc1"}) {
    EXPECT_EQ(events[key], figures_of(out + "/steps.jsonl", key)) << key << ": each step once";
  }
  for (const std::string key : {"perf/tokens_per_s", "perf/mfu", "perf/peak_bytes"}) {
    EXPECT_EQ(events[key].size(), 15U) << key;
  }
  for (const std::string key : {"test_acc1", "test_acc5", "test_loss"}) {
    const std::vector<std::string> values = column(out + "/log.txt", key);
    const Json& scalars = events["perf/" + key];
    ASSERT_EQ(scalars.size(), 3U) << key;
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(scalars[i][0], 5 * (i + 1)) << "the step at which the epoch ended";
      EXPECT_EQ(scalars[i][1].get<float>(), std::stof(values[i])) << key;
    }
  }
}

}  // namespace
}  // namespace tessera::test
