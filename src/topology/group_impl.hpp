#pragma once

#include "tessera/core/progress_board.hpp"
#include "tessera/topology/group.hpp"

#include <mpi.h>

#include <memory>

namespace tessera::topology {

class Group::Impl {
 public:
  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();

  MPI_Comm comm = MPI_COMM_NULL;  ///< null: a world of one without MPI
  bool owned = false;
  bool patient = false;  ///< sleeps while it waits for other ranks, instead of keeping a core busy
  std::shared_ptr<core::ProgressBoard> board;  ///< may be null
  int rank = 0;
  int size = 1;
};

/// A group over `comm`, which it frees in the end.
Group adopt_communicator(MPI_Comm comm, bool patient = false, std::shared_ptr<core::ProgressBoard> board = nullptr);

}  // namespace tessera::topology
