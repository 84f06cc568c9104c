#include "checkpoint/save_plan.hpp"

#include "checkpoint/flat_range.hpp"
#include "checkpoint/state_file.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/crc32c.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

namespace tessera::checkpoint {
namespace {

using TensorKey = std::pair<std::string, state::Component>;

}  // namespace

void check_tensors(const std::vector<state::TensorInfo>& tensors) {
  std::set<TensorKey> seen;
  for (const state::TensorInfo& tensor : tensors) {
    const std::string& name = tensor.parameter;
    core::require(!name.empty() && name != "." && name.find_first_of(std::string("/\0", 2)) == std::string::npos,
                  "checkpoint", "'{}' cannot be the name of a parameter: HDF5 links have no '/' in them", name);
    core::require(seen.emplace(name, tensor.component).second, "checkpoint", "{}/{} is described twice", name,
                  state::name_of(tensor.component));
    core::require(!tensor.shape.empty(), "checkpoint", "{} has no dimensions", name);
    count_elements(tensor.shape);
    check_storable(tensor.dtype);
  }
}

std::uint32_t fingerprint(const std::vector<state::TensorInfo>& tensors) {
  std::string text;
  for (const state::TensorInfo& tensor : tensors) {
    text += fmt::format("{}\n{}\n{}\n{}\n", tensor.parameter, state::name_of(tensor.component),
                        core::name_of(tensor.dtype), fmt::join(tensor.shape, ","));
  }
  return io::crc32c(text.data(), text.size());
}

// This rank's views by tensor, so that each data set is opened once.
std::vector<std::pair<std::size_t, const state::StateView*>> sort_views(const state::StateDescription& state) {
  std::map<TensorKey, std::size_t> index;
  for (std::size_t i = 0; i < state.tensors.size(); ++i) {
    index[{state.tensors[i].parameter, state.tensors[i].component}] = i;
  }
  std::vector<std::pair<std::size_t, const state::StateView*>> views;
  for (const state::StateView& view : state.mine) {
    const std::string name = view.parameter + "/" + state::name_of(view.component);
    const auto found = index.find({view.parameter, view.component});
    core::require(found != index.end(), "checkpoint", "a piece of {} is given, which is not among the tensors", name);
    const state::TensorInfo& tensor = state.tensors[found->second];
    core::require(view.dtype == tensor.dtype && view.global_shape == tensor.shape, "checkpoint",
                  "the piece of {} is of another type or shape than the tensor", name);
    core::require(0 <= view.begin && view.begin <= view.end && view.end <= count_elements(tensor.shape), "checkpoint",
                  "the piece of {} from {} to {} is not inside it", name, view.begin, view.end);
    views.emplace_back(found->second, &view);
  }
  std::ranges::sort(views, [](const auto& left, const auto& right) {
    return std::pair(left.first, left.second->begin) < std::pair(right.first, right.second->begin);
  });
  return views;
}

std::string pack(const std::vector<WrittenRange>& ranges) {
  std::string bytes(ranges.size() * sizeof(WrittenRange), '\0');
  if (!ranges.empty()) {
    std::memcpy(bytes.data(), ranges.data(), bytes.size());
  }
  return bytes;
}

std::vector<WrittenRange> unpack(const std::string& bytes) {
  std::vector<WrittenRange> ranges(bytes.size() / sizeof(WrittenRange));
  if (!ranges.empty()) {
    std::memcpy(ranges.data(), bytes.data(), bytes.size());
  }
  return ranges;
}

}  // namespace tessera::checkpoint
