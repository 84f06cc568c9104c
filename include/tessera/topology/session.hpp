#pragma once

#include "tessera/topology/group.hpp"

#include <string>

namespace tessera::topology {

/// MPI from MPI_Init to MPI_Finalize. Made once, in main; everything that communicates must be gone before it ends.
///
/// Works under mpirun and srun --mpi=pmix, and without either, where the world is one rank.
class Session {
 public:
  /// Starts MPI with MPI_THREAD_MULTIPLE. Throws UserError where MPI gives less, and where a launcher started several
  /// processes that do not find each other (an MPI without PMIx under srun) or did not all come up.
  Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  /// All ranks; with a board.
  [[nodiscard]] const Group& world() const { return world_; }

  /// Ends every rank of the run at once. Does not return.
  [[noreturn]] void abort(int status) const;

 private:
  Group world_ = Group::self();
};

/// Of this process, as the launcher counts: who speaks where MPI's world did not come up. 0 where there is no launcher.
int launched_rank();

/// "node17": for messages.
std::string host_name();

/// Of the MPI library that the program runs with: "Open MPI v4.1.4".
std::string mpi_version();
/// Of the one that it was compiled against, in the same words.
std::string compiled_mpi_version();

}  // namespace tessera::topology
