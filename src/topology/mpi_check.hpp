#pragma once

#include "tessera/core/error.hpp"

#include <mpi.h>

#include <array>
#include <string>

namespace tessera::topology {

/// Throws Error with MPI's own text unless `status` is MPI_SUCCESS.
inline void check_mpi(int status, const char* what) {
  if (status == MPI_SUCCESS) {
    return;
  }
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(status, text.data(), &length);
  core::fail("topology", "{} failed: {}", what, std::string(text.data(), static_cast<std::size_t>(length)));
}

}  // namespace tessera::topology
