#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>

namespace tessera::kernels {

/// Calls work(chunk, first_row, num_rows) for chunks of rows, on all threads. The chunks depend on the number of rows
/// alone, and so do sums that are taken inside a chunk first and over the chunks then.
class RowChunks {
 public:
  explicit RowChunks(std::int64_t num_rows) : num_rows_(num_rows) {}

  [[nodiscard]] std::int64_t count() const { return (num_rows_ + kRows - 1) / kRows; }

  template <class Work>
  void for_each(const Work& work) const {
    at::parallel_for(0, count(), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t chunk = begin; chunk < end; ++chunk) {
        const std::int64_t first = chunk * kRows;
        work(chunk, first, std::min(kRows, num_rows_ - first));
      }
    });
  }

 private:
  static constexpr std::int64_t kRows = 32;
  std::int64_t num_rows_;
};

}  // namespace tessera::kernels
