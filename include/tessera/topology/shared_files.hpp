#pragma once

#include "tessera/topology/group.hpp"

#include <functional>
#include <string>
#include <vector>

namespace tessera::topology {

/// Files, and words about them.
struct OpenFiles {
  std::string text;
  std::vector<int> descriptors;
};

/// What `open` gives on the first rank of each node, on every rank of that node: the text, and the files as descriptors
/// of this process, which it closes. Nothing is opened again, so that the file system hears of one open a node and
/// file, however many ranks there are. They share one position: read by place (pread, mmap) alone. On the first rank
/// they are as they were; on every other there are none where some rank cannot be passed them (containers with networks
/// of their own). Throws as Group::agree() where `open` throws. Collective over `world`; the ranks of `node` share a
/// machine.
OpenFiles open_once_a_node(const Group& world, const Group& node, const std::function<OpenFiles()>& open);

}  // namespace tessera::topology
