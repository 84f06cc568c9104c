#include "train/progress_line.hpp"

#include "tessera/core/table.hpp"
#include "tessera/core/units.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace tessera::train {
namespace {

constexpr int kNarrowestBar = 10;
constexpr int kWidestBar = 40;
constexpr const char* kCyan = "\x1b[36m";
constexpr const char* kDim = "\x1b[2m";
constexpr const char* kPlain = "\x1b[0m";

std::string repeat(const char* text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) {
    all += text;
  }
  return all;
}

// `width` characters, of which `share` (of 1) are filled.
std::string bar(double share, int width, const LineStyle& style) {
  const int filled = static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * width));
  if (!style.unicode) {
    return repeat("#", filled) + repeat(".", width - filled);
  }
  const char* const rest = style.colour ? "━" : "─";
  return style.colour ? kCyan + repeat("━", filled) + kPlain + kDim + repeat(rest, width - filled) + kPlain
                      : repeat("━", filled) + repeat(rest, width - filled);
}

// A part of the line. The greater `keep`, the longer it stays where the line is too long.
struct Part {
  int keep = 0;
  std::string label;
  std::string value;

  [[nodiscard]] int width() const {
    return static_cast<int>(core::display_width(label) + core::display_width(value)) +
           (label.empty() || value.empty() ? 0 : 1);
  }
  [[nodiscard]] std::string text(bool colour) const {
    const std::string gap = label.empty() || value.empty() ? "" : " ";
    return (colour && !label.empty() ? kDim + label + kPlain : label) + gap + value;
  }
};

constexpr int kGap = 2;

int width_of(const std::vector<Part>& parts) {
  int width = kGap + kNarrowestBar;
  for (const Part& part : parts) {
    width += part.width() + kGap;
  }
  return width - kGap;
}

// The bar stands after the first part.
std::string join(const std::vector<Part>& parts, double share, const LineStyle& style) {
  const int spare = style.columns - 1 - width_of(parts);
  std::string line;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    line += (i == 0 ? "" : std::string(kGap, ' ')) + parts[i].text(style.colour);
    if (i == 0 && spare >= 0) {
      line += std::string(kGap, ' ') + bar(share, std::min(kNarrowestBar + spare, kWidestBar), style);
    }
  }
  return core::cut_to_width(line, std::max(0, style.columns - 1));
}

std::vector<Part> parts_of(const ProgressFigures& figures) {
  return {{99, "epoch", std::to_string(figures.epoch)},
          {7, "", fmt::format("{}/{}", figures.step_in_epoch, figures.steps_per_epoch)},
          {98, "loss", fmt::format("{:.4f}", figures.loss)},
          {8, "acc", fmt::format("{:.1f}%", figures.accuracy)},
          {4, "lr", fmt::format("{:.2e}", figures.lr)},
          {3, "norm", fmt::format("{:.3g}", figures.grad_norm)},
          {5, "", short_count(figures.tokens_per_s) + " tok/s"},
          {2, "mfu", fmt::format("{:.1f}%", 100 * figures.mfu)},
          {1, "mem", core::format_bytes(static_cast<double>(figures.peak_bytes))},
          {6, "eta", core::format_duration(figures.epoch_eta)},
          {9, "run", core::format_duration(figures.run_eta)}};
}

double share_of(std::int64_t done, std::int64_t total) {
  return total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0;
}

}  // namespace

LineStyle style_of(const core::Terminal& terminal) {
  return {terminal.columns(), terminal.has_colour(), terminal.has_unicode()};
}

std::string short_count(double count) {
  constexpr std::array<const char*, 5> kUnits{"", "k", "M", "G", "T"};
  std::size_t unit = 0;
  // 999.5 and more would be shown as 1000.
  while (count >= 999.5 && unit + 1 < kUnits.size()) {
    count /= 1000;
    ++unit;
  }
  const int decimals = unit == 0 || count >= 99.95 ? 0 : count >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f}{}", count, decimals, kUnits[unit]);
}

std::string plain_line(const ProgressFigures& figures) {
  return fmt::format(
      "epoch {} [{:>{}}/{}] loss {:.4f} acc {:.1f}% lr {:.2e} norm {:.2f} | {} tok/s mfu {:.1f}% mem {} | eta {} run "
      "{}",
      figures.epoch, figures.step_in_epoch, std::to_string(figures.steps_per_epoch).size(), figures.steps_per_epoch,
      figures.loss, figures.accuracy, figures.lr, figures.grad_norm,
      core::format_count(static_cast<std::int64_t>(figures.tokens_per_s)), 100 * figures.mfu,
      core::format_bytes(static_cast<double>(figures.peak_bytes)), core::format_duration(figures.epoch_eta),
      core::format_duration(figures.run_eta));
}

std::string live_line(const ProgressFigures& figures, const LineStyle& style) {
  std::vector<Part> parts = parts_of(figures);
  while (width_of(parts) > style.columns - 1 && parts.size() > 2) {
    parts.erase(std::ranges::min_element(parts, std::ranges::less(), &Part::keep));
  }
  return join(parts, share_of(figures.step_in_epoch, figures.steps_per_epoch), style);
}

std::string live_bar(const std::string& what, std::int64_t done, std::int64_t total, const LineStyle& style) {
  return join({{0, "", what}, {0, "", core::format_count(done) + "/" + core::format_count(total)}},
              share_of(done, total), style);
}

}  // namespace tessera::train
