#pragma once

#include <string>
#include <vector>

namespace tessera::report {

struct Point {
  double x = 0;
  double y = 0;  ///< not finite: the line is broken here
};

/// How a series is drawn.
enum class Ink { kFirst, kSecond, kNeutral };

struct Series {
  std::string label;
  Ink ink = Ink::kFirst;
  std::vector<Point> points;  ///< by x
};

/// One panel of a picture.
struct Plot {
  std::string title;
  std::string x_title;
  std::vector<Series> series;
  bool log_y = false;  ///< points that are not above 0 break the line
};

/// A picture of panels, two in a row, under a legend of the first panel's series: one SVG file with no outside parts,
/// for light and dark surroundings. Of a series of many points the trend is drawn over them. Panels in which no series
/// has a point are left out.
std::string to_svg(const std::string& title, const std::vector<Plot>& plots);

/// At most `buckets` x 2 of the points: of each stretch of x the lowest and the highest, so that no peak is lost.
std::vector<Point> thinned(const std::vector<Point>& points, std::size_t buckets);

/// The means of `buckets` stretches of the points, leaving out what is not finite; all points where they are fewer.
std::vector<Point> averaged(const std::vector<Point>& points, std::size_t buckets);

/// Round numbers that divide [low, high] into some `count` parts: multiples of 1, 2 or 5 times a power of ten that is
/// at least `least_step`.
std::vector<double> ticks(double low, double high, int count, double least_step = 0);

/// `text` for the inside of XML and HTML.
std::string escaped(const std::string& text);

}  // namespace tessera::report
