#pragma once

#include "tessera/topology/group.hpp"

namespace tessera::test {

/// All ranks of the test program, made by mpi_main.cpp.
const topology::Group& world();

}  // namespace tessera::test
