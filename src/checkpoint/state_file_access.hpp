#pragma once

#include "checkpoint/hdf5.hpp"
#include "tessera/topology/group.hpp"

// How the ranks of a group write one file: state_file_access_mpi.cpp for the parallel HDF5, state_file_access_alone.cpp
// for the serial one.

namespace tessera::checkpoint {

/// Lets the group open the file together: over MPI-IO, or without locks where it has no communicator.
void share_access(const h5::Properties& access, const topology::Group& group);

/// Independent: ranks have different numbers of pieces, of different sizes, and need not wait for each other.
void share_transfer(const h5::Properties& transfer, const topology::Group& group);

}  // namespace tessera::checkpoint
