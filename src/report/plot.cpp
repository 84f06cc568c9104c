#include "tessera/report/plot.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

namespace tessera::report {
namespace {

// Pixels. A panel's curves lie within its margins.
constexpr double kPanelWidth = 520;
constexpr double kPanelHeight = 280;
constexpr double kHeader = 64;
constexpr double kLeft = 72;
constexpr double kRight = 20;
constexpr double kTop = 36;
constexpr double kBottom = 44;
constexpr std::size_t kBuckets = 400;  // a curve has no more places than pixels
constexpr std::size_t kTrendBuckets = 80;
constexpr std::size_t kFewPoints = 30;  // which are marked

// Blue and vermilion of Okabe and Ito, which the colour-blind tell apart; the second is dashed too, so that both are
// seen where they lie on each other.
constexpr const char* kStyle = R"(<style>
  svg { background: #ffffff; color: #1b1f24; font: 13px system-ui, "DejaVu Sans", sans-serif; }
  text { fill: currentColor; }
  .title { font-weight: 600; }
  .tick { font-size: 11px; opacity: .75; }
  .grid { stroke: currentColor; stroke-opacity: .12; }
  .curve { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
  .points { stroke-width: .8; stroke-opacity: .35; }
  .trend { stroke-width: 2.2; }
  .dots { stroke-width: 5; stroke-linecap: round; }
  .s0 { stroke: #0072b2; }
  .s1 { stroke: #d55e00; }
  .s1.line { stroke-dasharray: 6 3; }
  .s2 { stroke: currentColor; }
  @media (prefers-color-scheme: dark) {
    svg { background: #14171b; color: #e6e8eb; }
    .s0 { stroke: #56b4e9; }
    .s1 { stroke: #f0883e; }
  }
</style>
)";

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  [[nodiscard]] double share(double value) const { return high > low ? (value - low) / (high - low) : 0.5; }
};

bool is_shown(const Plot& plot, const Point& point) {
  return std::isfinite(point.x) && std::isfinite(point.y) && (!plot.log_y || point.y > 0);
}

// As the axis counts: the exponent of ten on a logarithmic one.
double height_of(const Plot& plot, double y) { return plot.log_y ? std::log10(y) : y; }

std::string tick_text(const Plot& plot, double tick) {
  return fmt::format("{:.6g}", plot.log_y ? std::pow(10, tick) : tick);
}

std::size_t bucket_begin(std::size_t bucket, std::size_t buckets, std::size_t size) { return bucket * size / buckets; }

// A panel with its corner at (x0, y0).
class Panel {
 public:
  Panel(const Plot& plot, double x0, double y0) : plot_(plot), x0_(x0 + kLeft), y0_(y0 + kTop) {
    for (const Series& series : plot.series) {
      for (const Point& point : series.points) {
        if (is_shown(plot, point)) {
          across_.include(point.x);
          up_.include(height_of(plot, point.y));
        }
      }
    }
  }

  [[nodiscard]] bool is_empty() const { return across_.low > across_.high; }

  [[nodiscard]] std::string svg() const {
    std::string text = fmt::format("<g><text class=\"title\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", x0_, y0_ - 14,
                                   escaped(plot_.title + (plot_.log_y ? " (logarithmic)" : "")));
    text += axes();
    for (const Series& series : plot_.series) {
      if (series.points.size() > 2 * kTrendBuckets) {
        text += curve(series, "points", path(thinned(series.points, kBuckets)));
      }
    }
    for (const Series& series : plot_.series) {
      const bool many = series.points.size() > 2 * kTrendBuckets;
      text += curve(series, many ? "line trend" : "line", path(averaged(series.points, kTrendBuckets)));
      if (series.points.size() <= kFewPoints) {
        text += curve(series, "dots", dots(series));
      }
    }
    return text + "</g>\n";
  }

 private:
  [[nodiscard]] static double width() { return kPanelWidth - kLeft - kRight; }
  [[nodiscard]] static double height() { return kPanelHeight - kTop - kBottom; }
  [[nodiscard]] double x_of(double x) const { return x0_ + width() * across_.share(x); }
  [[nodiscard]] double y_of(double tick) const { return y0_ + height() * (1 - up_.share(tick)); }

  [[nodiscard]] std::string axes() const {
    std::string text;
    for (const double tick : ticks(up_.low, up_.high, 5)) {
      text += fmt::format(
          "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{1:.1f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
          "<text class=\"tick\" text-anchor=\"end\" x=\"{3:.1f}\" y=\"{4:.1f}\">{5}</text>\n",
          x0_, x0_ + width(), y_of(tick), x0_ - 6, y_of(tick) + 4, tick_text(plot_, tick));
    }
    for (const double tick : ticks(across_.low, across_.high, 6, 1)) {
      text += fmt::format("<text class=\"tick\" text-anchor=\"middle\" x=\"{:.1f}\" y=\"{:.1f}\">{:.6g}</text>\n",
                          x_of(tick), y0_ + height() + 16, tick);
    }
    return text + fmt::format("<text class=\"tick\" text-anchor=\"end\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n",
                              x0_ + width(), y0_ + height() + 32, escaped(plot_.x_title));
  }

  [[nodiscard]] static std::string curve(const Series& series, const char* kind, const std::string& path) {
    return fmt::format("<path class=\"curve {} s{}\" d=\"{}\"/>\n", kind, static_cast<int>(series.ink), path);
  }

  // A line of no length to each point: its round ends are the dot.
  [[nodiscard]] std::string dots(const Series& series) const {
    std::string text;
    for (const Point& point : series.points) {
      if (is_shown(plot_, point)) {
        text += fmt::format("M{:.1f} {:.1f}h0", x_of(point.x), y_of(height_of(plot_, point.y)));
      }
    }
    return text;
  }

  [[nodiscard]] std::string path(const std::vector<Point>& points) const {
    std::string text;
    bool broken = true;
    for (const Point& point : points) {
      if (!is_shown(plot_, point)) {
        broken = true;
        continue;
      }
      text += fmt::format("{}{:.1f} {:.1f}", broken ? "M" : "L", x_of(point.x), y_of(height_of(plot_, point.y)));
      broken = false;
    }
    return text;
  }

  const Plot& plot_;
  double x0_;
  double y0_;
  Range across_;
  Range up_;
};

std::string legend(const std::vector<Plot>& plots) {
  std::string text;
  double x = kLeft;
  for (std::size_t i = 0; !plots.empty() && i < plots.front().series.size(); ++i) {
    const Series& series = plots.front().series[i];
    text += fmt::format(
        "<path class=\"curve line trend s{0}\" d=\"M{1:.1f} 46L{2:.1f} 46\"/><text x=\"{3:.1f}\" y=\"50\">{4}</text>\n",
        static_cast<int>(series.ink), x, x + 28, x + 36, escaped(series.label));
    x += 70 + 8 * static_cast<double>(series.label.size());  // wide enough for the widest letters of most
  }
  return text;
}

}  // namespace

std::vector<double> ticks(double low, double high, int count, double least_step) {
  if (!(high > low)) {
    return {low};
  }
  const double rough = (high - low) / count;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double multiple : {5.0, 2.0, 1.0}) {
    if (multiple * power >= rough * (1 - 1e-9)) {
      step = multiple * power;
    }
  }
  step = std::max(step, least_step);
  std::vector<double> places;
  // Counted in steps, so that no rounding adds up; 0 is then exactly 0.
  const auto last = std::llround(std::floor(high / step + 1e-9));
  for (std::int64_t i = std::llround(std::ceil(low / step - 1e-9)); i <= last; ++i) {
    places.push_back(static_cast<double>(i) * step);
  }
  return places;
}

std::vector<Point> thinned(const std::vector<Point>& points, std::size_t buckets) {
  if (points.size() <= 2 * buckets) {
    return points;
  }
  std::vector<Point> kept;
  for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
    const auto begin = points.begin() + static_cast<std::ptrdiff_t>(bucket_begin(bucket, buckets, points.size()));
    const auto end = points.begin() + static_cast<std::ptrdiff_t>(bucket_begin(bucket + 1, buckets, points.size()));
    // What is no number counts as the highest, so that the line is broken there.
    const auto height = [](const Point& point) {
      return std::isfinite(point.y) ? point.y : std::numeric_limits<double>::infinity();
    };
    const auto [lowest, highest] = std::ranges::minmax_element(begin, end, std::ranges::less(), height);
    kept.push_back(std::min(lowest, highest)[0]);
    if (lowest != highest) {
      kept.push_back(std::max(lowest, highest)[0]);
    }
  }
  return kept;
}

std::vector<Point> averaged(const std::vector<Point>& points, std::size_t buckets) {
  if (points.size() <= 2 * buckets) {
    return points;
  }
  std::vector<Point> means;
  for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
    Point mean;
    double count = 0;
    for (std::size_t i = bucket_begin(bucket, buckets, points.size());
         i < bucket_begin(bucket + 1, buckets, points.size()); ++i) {
      if (std::isfinite(points[i].y)) {
        mean.x += points[i].x;
        mean.y += points[i].y;
        ++count;
      }
    }
    if (count > 0) {
      means.push_back({mean.x / count, mean.y / count});
    }
  }
  return means;
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char letter : text) {
    switch (letter) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += letter;
    }
  }
  return result;
}

std::string to_svg(const std::string& title, const std::vector<Plot>& plots) {
  std::string panels;
  std::size_t shown = 0;
  for (const Plot& plot : plots) {
    const std::size_t row = shown / 2;
    const Panel panel(plot, static_cast<double>(shown % 2) * kPanelWidth,
                      kHeader + static_cast<double>(row) * kPanelHeight);
    if (!panel.is_empty()) {
      panels += panel.svg();
      ++shown;
    }
  }
  const double rows = std::ceil(static_cast<double>(shown) / 2);
  return fmt::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} "
             "{1:.0f}\" role=\"img\">\n<title>{2}</title>\n",
             2 * kPanelWidth, kHeader + rows * kPanelHeight, escaped(title)) +
         kStyle + fmt::format("<text class=\"title\" x=\"{}\" y=\"26\">{}</text>\n", kLeft, escaped(title)) +
         legend(plots) + panels + "</svg>\n";
}

}  // namespace tessera::report
