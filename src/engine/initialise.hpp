#pragma once

#include "engine/context.hpp"
#include "tessera/engine/engine.hpp"

#include <functional>
#include <vector>

namespace tessera::engine {

/// The ranks whose shards this rank holds and updates: its own, or at stage 0 everybody's.
std::vector<int> ranks_held(const Context& context);

/// Makes a parameter's range piece by piece, so that no second copy of a large parameter is ever held:
/// `store(offset in the range, piece)`.
void fill_pieces(const Context& context, const FillPiece& fill, const ParamRange& range,
                 const std::function<void(std::int64_t offset, const at::Tensor& piece)>& store);

}  // namespace tessera::engine
