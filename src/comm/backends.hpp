#pragma once

#include "tessera/comm/collectives.hpp"
#include "tessera/topology/group.hpp"

#include <memory>

namespace tessera::comm {

/// One rank: nothing to do. Every send and receive buffer must be the same memory.
std::unique_ptr<Collectives> make_self();

/// Host memory over MPI. Sums are taken in rank order in fp32 and rounded once, so they do not depend on the MPI
/// library's algorithms: the oracle for the others. Collective over `group`.
std::unique_ptr<Collectives> make_mpi_host(const topology::Group& group);

/// Device memory, copied through pinned host memory to make_mpi_host's and back. For ranks that share a GPU: slow.
/// Collective over `group`. Throws UserError in a build without CUDA.
std::unique_ptr<Collectives> make_mpi_staged(const topology::Group& group);

/// Device memory over NCCL, on a stream of its own. The calling thread's CUDA device must be this rank's alone.
/// Collective over `group`. Throws UserError in a build without CUDA.
std::unique_ptr<Collectives> make_nccl(const topology::Group& group);

}  // namespace tessera::comm
