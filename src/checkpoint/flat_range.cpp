#include "checkpoint/flat_range.hpp"

#include "tessera/core/error.hpp"

#include <fmt/ranges.h>

namespace tessera::checkpoint {
namespace {

// Walks down the dimensions: at each one the range is a part of a row, or whole rows with parts before and after.
class Cutter {
 public:
  explicit Cutter(const std::vector<std::int64_t>& shape) : shape_(shape), row_(shape.size(), 1) {
    for (std::size_t d = shape.size() - 1; d > 0; --d) {
      row_[d - 1] = row_[d] * shape[d];
    }
  }

  // [begin, end) counts inside the sub-tensor that `prefix` selects.
  void cut(std::vector<std::int64_t>& prefix, std::int64_t begin, std::int64_t end) {
    const std::int64_t row = row_[prefix.size()];
    std::int64_t first = begin / row;
    const std::int64_t last = end / row;
    if (begin % row != 0) {
      const bool ends_in_same_row = first == last;
      cut_row(prefix, first, begin % row, ends_in_same_row ? end % row : row);
      if (ends_in_same_row) {
        return;
      }
      ++first;
    }
    if (first < last) {
      emit(prefix, first, last);
    }
    if (end % row != 0) {
      cut_row(prefix, last, 0, end % row);
    }
  }

  std::vector<Slab> slabs;

 private:
  void cut_row(std::vector<std::int64_t>& prefix, std::int64_t index, std::int64_t begin, std::int64_t end) {
    prefix.push_back(index);
    cut(prefix, begin, end);
    prefix.pop_back();
  }

  void emit(const std::vector<std::int64_t>& prefix, std::int64_t first, std::int64_t last) {
    Slab slab;
    slab.start = prefix;
    slab.count.assign(prefix.size(), 1);
    slab.start.push_back(first);
    slab.count.push_back(last - first);
    for (std::size_t d = slab.start.size(); d < shape_.size(); ++d) {
      slab.start.push_back(0);
      slab.count.push_back(shape_[d]);
    }
    slabs.push_back(std::move(slab));
  }

  const std::vector<std::int64_t>& shape_;
  std::vector<std::int64_t> row_;  // elements per index of each dimension
};

}  // namespace

std::int64_t Slab::num_elements() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : count) {
    product *= extent;
  }
  return product;
}

std::vector<Slab> slabs_of_range(const std::vector<std::int64_t>& shape, std::int64_t begin, std::int64_t end) {
  Cutter cutter(shape);
  std::vector<std::int64_t> prefix;
  cutter.cut(prefix, begin, end);
  return std::move(cutter.slabs);
}

std::int64_t count_elements(const std::vector<std::int64_t>& shape) {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) {
    core::require(extent > 0 && !__builtin_mul_overflow(product, extent, &product), "checkpoint",
                  "a tensor of shape [{}] cannot be stored", fmt::join(shape, ", "));
  }
  return product;
}

}  // namespace tessera::checkpoint
