// The lines of progress: what they tell, and that they fit.
#include "tessera/core/table.hpp"
#include "tessera/core/terminal.hpp"
#include "train/progress_line.hpp"

#include <gtest/gtest.h>

#include <regex>
#include <string>

namespace tessera::train {
namespace {

ProgressFigures figures() {
  return {.epoch = 3,
          .step_in_epoch = 412,
          .steps_per_epoch = 937,
          .loss = 1.23456,
          .accuracy = 61.25,
          .lr = 3e-4,
          .grad_norm = 0.8765,
          .tokens_per_s = 155020,
          .mfu = 0.426,
          .peak_bytes = std::int64_t{26} << 30U,
          .epoch_eta = 83,
          .run_eta = 3723};
}

std::string without_escapes(const std::string& text) {
  return std::regex_replace(text, std::regex("\x1b\\[\\d*m"), "");
}
bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(ProgressLine, IsNeverWiderThanTheTerminal) {
  for (int columns = 1; columns <= 250; ++columns) {
    for (const bool fancy : {false, true}) {
      const LineStyle style{columns, fancy, fancy};
      for (const std::string& line : {live_line(figures(), style), live_bar("test", 1234, 10000, style)}) {
        const std::string shown = without_escapes(line);
        EXPECT_LE(static_cast<int>(core::display_width(shown)), columns - 1) << shown;
        EXPECT_TRUE(columns < 40 || contains(line, "\x1b") == fancy) << "colours where they are wanted";
        EXPECT_TRUE(shown.empty() || !std::isspace(static_cast<unsigned char>(shown.front()))) << shown;
      }
    }
  }
}

TEST(ProgressLine, ShowsMoreWhereThereIsRoom) {
  const auto line = [](int columns) { return live_line(figures(), {columns, false, false}); };
  EXPECT_EQ(line(200),
            "epoch 3  ##################......................  412/937  loss 1.2346  acc 61.2%  lr 3.00e-04  norm "
            "0.876  155k tok/s  mfu 42.6%  mem 26.0 GiB  eta 1:23  run 1:02:03");
  EXPECT_EQ(line(80), "epoch 3  ######........  412/937  loss 1.2346  acc 61.2%  eta 1:23  run 1:02:03");
  EXPECT_EQ(line(50), "epoch 3  ######........  loss 1.2346  run 1:02:03");
  EXPECT_EQ(line(20), "epoch 3  loss 1.234");
}

TEST(ProgressLine, TheBarFillsUp) {
  const LineStyle ascii{40, false, false};
  EXPECT_EQ(live_bar("test", 0, 10000, ascii), "test  .......................  0/10,000");
  EXPECT_EQ(live_bar("test", 10000, 10000, ascii), "test  ##################  10,000/10,000");
  EXPECT_TRUE(contains(live_bar("test", 5000, 10000, {40, true, true}), "\x1b[36m━━━━"));
}

TEST(ProgressLine, APlainLineHasEverything) {
  EXPECT_EQ(plain_line(figures()),
            "epoch 3 [412/937] loss 1.2346 acc 61.2% lr 3.00e-04 norm 0.88 | 155,020 tok/s mfu 42.6% mem 26.0 GiB | "
            "eta 1:23 run 1:02:03");
}

TEST(ProgressLine, CountsHaveThreeDigits) {
  EXPECT_EQ(short_count(0), "0");
  EXPECT_EQ(short_count(999.4), "999");
  EXPECT_EQ(short_count(999.6), "1.00k");
  EXPECT_EQ(short_count(9994), "9.99k");
  EXPECT_EQ(short_count(9996), "10.0k");
  EXPECT_EQ(short_count(99960), "100k");
  EXPECT_EQ(short_count(23.2e6), "23.2M");
}

TEST(Terminal, CutsToTheWidthAndKeepsEscapes) {
  EXPECT_EQ(core::cut_to_width("abcdef", 4), "abcd");
  EXPECT_EQ(core::cut_to_width("äöü", 2), "äö");
  EXPECT_EQ(core::cut_to_width("\x1b[36mabc\x1b[0mdef", 2), "\x1b[36mab\x1b[0m");
  EXPECT_EQ(core::cut_to_width("abc", 0), "");
}

}  // namespace
}  // namespace tessera::train
