#include "checkpoint/import_source.hpp"
#include "tessera/core/error.hpp"

#include <algorithm>
#include <utility>

namespace tessera::checkpoint {

// A group's parameters lie one after the other in a flat space, which is cut into equal partitions, one a rank. So a
// parameter's elements lie in one partition or in several that follow each other. (DeepSpeed's stage_1_and_2.py)
std::vector<Fragment> take_apart(const std::vector<io::TorchTensor>& pieces, std::int64_t partition_size,
                                 const FlatParameter& parameter, const std::string& where) {
  std::vector<Fragment> fragments;
  for (std::int64_t position = parameter.begin; position < parameter.end;) {
    const std::int64_t rank = position / partition_size;
    core::require<core::UserError>(std::cmp_less(rank, pieces.size()), "checkpoint",
                                   "{}: the ranks' partitions end before {}; a rank's file is missing or damaged",
                                   where, parameter.name);
    const io::TorchTensor& piece = pieces[static_cast<std::size_t>(rank)];
    const std::int64_t first = position - rank * partition_size;
    const std::int64_t last = std::min(parameter.end - rank * partition_size, partition_size);
    core::require<core::UserError>(last <= piece.num_elements, "checkpoint",
                                   "{}: {} needs elements {} to {} of rank {}'s partition, which has {}; the file is "
                                   "of another checkpoint, or damaged",
                                   where, parameter.name, first, last, rank, piece.num_elements);
    const std::int64_t begin = position - parameter.begin;
    fragments.push_back({begin, begin + last - first, core::DType::kFloat32,
                         piece.bytes.data() + first * static_cast<std::int64_t>(sizeof(float))});
    position += last - first;
  }
  return fragments;
}

}  // namespace tessera::checkpoint
