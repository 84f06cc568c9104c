#pragma once

#include "tessera/comm/collectives.hpp"
#include "tessera/topology/group.hpp"
#include "tessera/topology/links.hpp"

#include <c10/core/Device.h>

#include <cstdint>

namespace tessera::train {

/// Seconds of one collective over a buffer of `bytes` (rounded down to whole elements a rank; fp32 on a CPU, bf16 on a
/// GPU), until every rank has its result: the median of several. The same on every rank. Collective over `group`, whose
/// ranks are those of `collectives`.
double time_collective(comm::Collectives& collectives, const topology::Group& group, topology::CollectiveKind kind,
                       std::int64_t bytes, c10::Device device);

/// The link between the two ranks of `pair` between device memories: broadcasts of a few bytes, and of `bytes`.
/// Collective over `pair`.
topology::LinkFigures time_broadcasts(comm::Collectives& collectives, const topology::Group& pair, std::int64_t bytes,
                                      c10::Device device);

}  // namespace tessera::train
