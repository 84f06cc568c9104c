#pragma once

#include "tessera/core/terminal.hpp"

#include <cstdint>
#include <string>

namespace tessera::train {

/// What a line of progress tells.
struct ProgressFigures {
  std::int64_t epoch = 0;
  std::int64_t step_in_epoch = 0;  ///< from 1
  std::int64_t steps_per_epoch = 0;
  double loss = 0;
  double accuracy = 0;  ///< percent
  double lr = 0;
  double grad_norm = 0;
  double tokens_per_s = 0;
  double mfu = 0;  ///< of 1
  std::int64_t peak_bytes = 0;
  double epoch_eta = 0;  ///< seconds
  double run_eta = 0;
};

/// What the terminal can show.
struct LineStyle {
  int columns = 80;
  bool colour = false;
  bool unicode = false;
};
LineStyle style_of(const core::Terminal& terminal);

/// All figures, for a log file.
std::string plain_line(const ProgressFigures& figures);

/// A bar and as many of the figures as fit into columns - 1 characters, the more important first. (The last column
/// stays free, since some terminals go to the next line when it is taken.)
std::string live_line(const ProgressFigures& figures, const LineStyle& style);

/// "what [bar] done/total", no wider than columns - 1 characters.
std::string live_bar(const std::string& what, std::int64_t done, std::int64_t total, const LineStyle& style);

/// 155,020 -> "155k", 9,540 -> "9.54k", 23.2 million -> "23.2M": three digits.
std::string short_count(double count);

}  // namespace tessera::train
