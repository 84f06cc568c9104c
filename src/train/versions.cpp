#include "train/versions.hpp"

#include "tessera/checkpoint/save.hpp"
#include "tessera/comm/make_collectives.hpp"
#include "tessera/config/command_line.hpp"
#include "tessera/topology/session.hpp"

#include <fmt/core.h>
#include <torch/headeronly/version.h>

namespace tessera::train {

std::vector<std::pair<std::string, std::string>> library_versions() {
  return {{"tessera", std::string(config::version())},
          {"mpi", topology::mpi_version()},
          {"nccl", comm::nccl_version()},
          {"hdf5", checkpoint::hdf5_version()},
          {"torch", fmt::format("{}.{}.{}", TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR, TORCH_VERSION_PATCH)}};
}

}  // namespace tessera::train
