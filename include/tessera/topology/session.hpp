#pragma once

#include "tessera/topology/group.hpp"

#include <string>

namespace tessera::topology {

/// MPI from MPI_Init to MPI_Finalize. Made once, in main; everything that communicates must be gone before it ends.
///
/// Works under mpirun and srun --mpi=pmix, and without either, where the world is one rank.
class Session {
 public:
  /// Starts MPI with MPI_THREAD_MULTIPLE. Throws Error where MPI gives less, or where a launcher started several
  /// processes that do not find each other (an MPI without PMIx under srun).
  Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  [[nodiscard]] const Group& world() const { return world_; }

  /// Ends every rank of the run at once. Does not return.
  [[noreturn]] void abort(int status) const;

 private:
  Group world_ = Group::self();
};

/// "node17": for messages.
std::string host_name();

/// Of the MPI library that the program runs with: "Open MPI v4.1.4".
std::string mpi_version();

}  // namespace tessera::topology
