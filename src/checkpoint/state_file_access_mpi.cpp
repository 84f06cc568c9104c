#include "checkpoint/hdf5_data.hpp"
#include "checkpoint/state_file_access.hpp"

#include <mpi.h>

namespace tessera::checkpoint {

void share_access(const h5::Properties& access, const topology::Group& group) {
  if (const void* const communicator = group.mpi_communicator()) {
    h5::check(H5Pset_fapl_mpio(access.get(), *static_cast<const MPI_Comm*>(communicator), MPI_INFO_NULL), "set up",
              "MPI-IO");
  } else {
    h5::do_not_lock(access);
  }
}

void share_transfer(const h5::Properties& transfer, const topology::Group& group) {
  if (group.mpi_communicator() != nullptr) {
    h5::check(H5Pset_dxpl_mpio(transfer.get(), H5FD_MPIO_INDEPENDENT), "set up", "the transfer");
  }
}

}  // namespace tessera::checkpoint
