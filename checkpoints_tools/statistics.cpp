#include "statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace tessera::tools {

Statistics measure(const checkpoint::Reader& reader, const checkpoint::StoredTensor& tensor) {
  Statistics result;
  result.num_elements = tensor.num_elements();
  double sum = 0;
  double sum_of_squares = 0;
  double min = std::numeric_limits<double>::infinity();
  double max = -min;
  std::vector<float> values;
  for (const checkpoint::StoredRange& range : tensor.ranges) {
    values.resize(static_cast<std::size_t>(range.end - range.begin));
    reader.read_floats(tensor, range.begin, values);
    for (const float value : values) {
      if (!std::isfinite(value)) {
        ++result.num_not_finite;
        continue;
      }
      const double wide = value;
      result.num_zeros += wide == 0 ? 1 : 0;
      sum += wide;
      sum_of_squares += wide * wide;
      min = std::min(min, wide);
      max = std::max(max, wide);
    }
  }
  const auto count = static_cast<double>(result.num_elements - result.num_not_finite);
  if (count > 0) {
    result.min = min;
    result.max = max;
    result.mean = sum / count;
    result.std = std::sqrt(std::max(sum_of_squares / count - result.mean * result.mean, 0.0));
    result.norm = std::sqrt(sum_of_squares);
  }
  return result;
}

}  // namespace tessera::tools
