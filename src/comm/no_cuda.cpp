// The build without CUDA: what its device backends say.
#include "comm/backends.hpp"
#include "tessera/comm/make_collectives.hpp"
#include "tessera/core/error.hpp"

namespace tessera::comm {
namespace {

[[noreturn]] void refuse(const char* what) {
  core::fail<core::UserError>("comm", "{} is not in this build; configure it with -DTESSERA_CUDA=ON", what);
}

}  // namespace

std::unique_ptr<Collectives> make_mpi_staged(const topology::Group& /*group*/) { refuse("MPI staged from CUDA"); }
std::unique_ptr<Collectives> make_nccl(const topology::Group& /*group*/) { refuse("NCCL"); }

std::string nccl_version() { return ""; }
std::string compiled_nccl_version() { return ""; }

}  // namespace tessera::comm
