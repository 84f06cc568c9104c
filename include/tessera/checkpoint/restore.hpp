#pragma once

#include "tessera/checkpoint/memory_copier.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/state/run_state.hpp"
#include "tessera/state/state_view.hpp"
#include "tessera/topology/group.hpp"

#include <string>

namespace tessera::checkpoint {

/// Fills this rank's views from a checkpoint that any number of ranks wrote, and returns where its run stood.
///
/// The checkpoint must hold every parameter of `state`, in its shape, and no others; otherwise one UserError lists what
/// is missing, unexpected or of another shape. A component that `state` does not ask for is left alone. Weights and
/// masters follow from each other where one is not stored in the type that is asked for:
///   weight bf16  <- stored bf16 weight, else the fp32 master or weight, rounded to nearest even
///   weight fp32  <- stored fp32 weight (its own master), else master, else bf16 weight widened
///   master fp32  <- stored master, else the weight, widened where it is bf16
/// and moments are converted: exact from bf16 to fp32, rounded to nearest even from fp32 to bf16.
/// Collective over `group`: every rank returns, or throws the same error.
state::RunState restore(const std::string& checkpoint, const state::StateDescription& state,
                        const topology::Group& group, const MemoryCopier& copier);

/// The stored tensor from which `component` in `dtype` is read, by the rules above. Null where the checkpoint has none.
const StoredTensor* find_source(const Reader& reader, std::string_view parameter, state::Component component,
                                core::DType dtype);

}  // namespace tessera::checkpoint
