#pragma once

#include "tessera/topology/group.hpp"

#include <vector>

namespace tessera::topology {

/// The open files of `node`'s first rank, as descriptors of this process, which it closes: nothing is opened again, so
/// that the file system hears of one open a node and file, however many ranks there are. They share one position: read
/// by place (pread, mmap) alone. On the first rank, `descriptors` as they are. Empty on every other where some rank
/// cannot be passed them (containers with networks of their own). Collective over `node`, whose ranks share a machine.
std::vector<int> share_descriptors(const Group& node, const std::vector<int>& descriptors);

}  // namespace tessera::topology
