// The parts of a plot: round ticks, thinned curves that lose no peak, and a picture that is well-formed.
#include "tessera/report/plot.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace tessera::report {
namespace {

std::vector<Point> waves(std::size_t count) {
  std::vector<Point> points;
  for (std::size_t i = 0; i < count; ++i) {
    points.push_back({static_cast<double>(i), std::sin(static_cast<double>(i) / 10)});
  }
  return points;
}

TEST(Ticks, AreRoundAndWithinTheRange) {
  const auto rounded = [](double low, double high, int count, double least = 0) {
    std::vector<double> places = ticks(low, high, count, least);
    for (double& place : places) {
      place = std::round(place * 1e9) / 1e9;
    }
    return places;
  };
  EXPECT_EQ(rounded(0, 1, 5), (std::vector<double>{0, 0.2, 0.4, 0.6, 0.8, 1}));
  EXPECT_EQ(rounded(-0.3, 0.31, 6), (std::vector<double>{-0.2, 0, 0.2}));
  EXPECT_EQ(rounded(3, 1874, 6), (std::vector<double>{500, 1000, 1500}));
  EXPECT_EQ(rounded(0, 2, 6, 1), (std::vector<double>{0, 1, 2})) << "no fractions of an epoch";
  EXPECT_EQ(ticks(7, 7, 5), std::vector<double>{7});
  EXPECT_FALSE(std::signbit(ticks(-0.0, 1, 5).front()));
  for (double low = -3.7; low < 2; low += 0.31) {
    for (double width = 1e-7; width < 1e7; width *= 3.3) {
      const std::vector<double> places = ticks(low, low + width, 5);
      EXPECT_LE(places.size(), 7U);
      EXPECT_GE(places.size(), 1U);
      EXPECT_GE(places.front(), low - 1e-6 * width);
      EXPECT_LE(places.back(), low + width * (1 + 1e-6));
    }
  }
}

TEST(Thinned, KeepsPeaksAndBreaks) {
  std::vector<Point> points = waves(10000);
  points[1234].y = 50;
  points[7777].y = -50;
  points[5000].y = std::numeric_limits<double>::quiet_NaN();
  const std::vector<Point> kept = thinned(points, 100);
  EXPECT_LE(kept.size(), 200U);
  EXPECT_TRUE(std::ranges::is_sorted(kept, std::ranges::less(), &Point::x));
  EXPECT_EQ(std::ranges::count(kept, 50.0, &Point::y), 1);
  EXPECT_EQ(std::ranges::count(kept, -50.0, &Point::y), 1);
  EXPECT_EQ(std::ranges::count_if(kept, [](const Point& point) { return std::isnan(point.y); }), 1);
  EXPECT_EQ(thinned(waves(200), 100).size(), 200U) << "few are all kept";
}

TEST(Averaged, GivesMeans) {
  std::vector<Point> points;
  for (int i = 0; i < 1000; ++i) {
    points.push_back({static_cast<double>(i), 2.0 * i + (i % 2 == 0 ? 100 : -100)});
  }
  points[500].y = std::numeric_limits<double>::infinity();
  const std::vector<Point> means = averaged(points, 10);
  ASSERT_EQ(means.size(), 10U);
  EXPECT_DOUBLE_EQ(means[0].x, 49.5);
  EXPECT_DOUBLE_EQ(means[0].y, 99);
  EXPECT_TRUE(std::isfinite(means[5].y));
}

// Every tag that is opened is closed, and nothing else is.
bool is_well_formed(const std::string& text) {
  std::vector<std::string> open;
  for (std::size_t at = text.find('<'); at != std::string::npos; at = text.find('<', at + 1)) {
    const std::size_t end = text.find('>', at);
    const std::string tag = text.substr(at + 1, end - at - 1);
    const std::string name = tag.substr(0, tag.find_first_of(" \n"));
    if (name.starts_with('/')) {
      if (open.empty() || open.back() != name.substr(1)) {
        return false;
      }
      open.pop_back();
    } else if (!tag.ends_with('/')) {
      open.push_back(name);
    }
  }
  return open.empty();
}

TEST(Svg, DrawsWhatIsThere) {
  const Plot loss{"loss <of> \"a & b\"", "step", {{"a & b", Ink::kFirst, waves(5000)}, {"b", Ink::kSecond, waves(9)}}};
  const Plot nothing{"nothing", "step", {{"", Ink::kNeutral, {{1, std::nan("")}}}}};
  const Plot logarithmic{"log", "step", {{"", Ink::kNeutral, {{1, 1e-8}, {2, 0}, {3, 1e-2}, {4, 1}}}}, true};
  const std::string svg = to_svg("Title", {loss, nothing, logarithmic});
  EXPECT_TRUE(is_well_formed(svg)) << svg.substr(0, 2000);
  EXPECT_NE(svg.find("loss &lt;of&gt; &quot;a &amp; b&quot;"), std::string::npos);
  EXPECT_EQ(svg.find("nothing"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
  EXPECT_NE(svg.find("prefers-color-scheme: dark"), std::string::npos);
  EXPECT_NE(svg.find("1e-08<"), std::string::npos) << "a tick of the logarithmic axis";
  const std::size_t broken = svg.find("curve line s2");
  const std::string path = svg.substr(broken, svg.find("/>", broken) - broken);
  EXPECT_EQ(std::ranges::count(path, 'M'), 2) << "0 has no logarithm: " << path;
}

}  // namespace
}  // namespace tessera::report
