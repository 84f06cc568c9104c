#pragma once

#include "tessera/comm/collectives.hpp"
#include "tessera/topology/mesh.hpp"

#include <memory>

namespace tessera::comm {

enum class Backend : std::uint8_t { kAuto, kNccl, kMpi };

/// The collectives for this run. kAuto: none for one rank; NCCL where every rank has a GPU of its own; host MPI on
/// CPUs; host MPI staged through pinned memory where ranks share a GPU. kMpi on GPUs is staged too.
/// Throws UserError on every rank alike where kNccl cannot be (no GPU, a shared GPU, a build without NCCL).
/// Collective over the mesh.
std::unique_ptr<Collectives> make_collectives(const topology::Mesh& mesh, Backend backend);

/// Of the NCCL library that the program runs with: "2.28.9"; empty in a build without it.
std::string nccl_version();
/// Of the one that it was compiled against.
std::string compiled_nccl_version();

}  // namespace tessera::comm
