#include "tessera/comm/make_collectives.hpp"

#include "comm/backends.hpp"
#include "comm/watched.hpp"
#include "tessera/core/error.hpp"

#include <utility>

namespace tessera::comm {
namespace {

std::unique_ptr<Collectives> choose(const topology::Mesh& mesh, Backend backend) {
  const topology::DeviceBinding& device = mesh.device;
  if (backend == Backend::kNccl) {
    core::require<core::UserError>(device.on_gpu, "comm",
                                   "--collectives nccl needs a GPU for every rank, and this run is on the CPU; use "
                                   "--collectives mpi or auto");
    core::require<core::UserError>(!device.gpus_are_shared, "comm",
                                   "--collectives nccl: some ranks share a GPU, which NCCL refuses; start one rank per "
                                   "GPU, or use --collectives mpi or auto");
    return make_nccl(mesh.world);
  }
  if (backend == Backend::kAuto) {
    if (mesh.world.size() == 1) {
      return make_self();
    }
    if (device.on_gpu && !device.gpus_are_shared) {
      return make_nccl(mesh.world);
    }
  }
  return device.on_gpu ? make_mpi_staged(mesh.world) : make_mpi_host(mesh.world);
}

}  // namespace

std::unique_ptr<Collectives> make_collectives(const topology::Mesh& mesh, Backend backend) {
  auto chosen = choose(mesh, backend);
  core::ProgressBoard* const board = mesh.world.board();
  return board != nullptr && mesh.world.size() > 1 ? watched(std::move(chosen), *board) : std::move(chosen);
}

}  // namespace tessera::comm
