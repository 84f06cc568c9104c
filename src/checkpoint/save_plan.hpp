#pragma once

#include "tessera/state/state_view.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tessera::checkpoint {

/// Throws Error where a tensor cannot be stored: its name, its type, its shape, or because it is described twice.
void check_tensors(const std::vector<state::TensorInfo>& tensors);

/// Differs where two lists of tensors do, but for accidents.
std::uint32_t fingerprint(const std::vector<state::TensorInfo>& tensors);

/// This rank's views with the number of their tensor, in the order of the tensors and of the elements. Throws Error
/// where a view is of no tensor, or not of its type and shape.
std::vector<std::pair<std::size_t, const state::StateView*>> sort_views(const state::StateDescription& state);

/// A range that a rank has written, as it travels to rank 0.
struct WrittenRange {
  std::int64_t tensor = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t crc32c = 0;
};
std::string pack(const std::vector<WrittenRange>& ranges);
std::vector<WrittenRange> unpack(const std::string& bytes);

}  // namespace tessera::checkpoint
