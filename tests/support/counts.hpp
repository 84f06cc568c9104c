#pragma once

#include <algorithm>
#include <cmath>
#include <istream>
#include <iterator>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

namespace tessera::test {

using Counts = std::vector<double>;

inline double total_of(const Counts& counts) { return std::accumulate(counts.begin(), counts.end(), 0.0); }

/// The greatest difference between the distributions that two rows of counts stand for.
inline double kolmogorov_smirnov(const Counts& a, const Counts& b) {
  double sum = 0;
  double greatest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += a[i] / total_of(a) - b[i] / total_of(b);
    greatest = std::max(greatest, std::abs(sum));
  }
  return greatest;
}

/// What that difference exceeds in fewer than two cases of a hundred thousand where both are samples of one
/// distribution: 2 exp(-2 c^2) with c = 2.4.
inline double kolmogorov_smirnov_bound(const Counts& a, const Counts& b) {
  return 2.4 * std::sqrt(1 / total_of(a) + 1 / total_of(b));
}

/// The numbers of the next line.
inline Counts read_counts(std::istream& stream) {
  std::string line;
  std::getline(stream, line);
  std::istringstream words(line);
  return {std::istream_iterator<double>(words), {}};
}

}  // namespace tessera::test
