#pragma once

#include "tessera/comm/collectives.hpp"
#include "tessera/core/progress_board.hpp"

#include <memory>

namespace tessera::comm {

/// The same collectives, which write on `board` (which outlives them) what is begun and what is waited for.
std::unique_ptr<Collectives> watched(std::unique_ptr<Collectives> collectives, core::ProgressBoard& board);

}  // namespace tessera::comm
