#include "tessera/topology/session.hpp"

#include "topology/group_impl.hpp"
#include "topology/mpi_check.hpp"

#include <unistd.h>

#include <array>
#include <cstdlib>

namespace tessera::topology {
namespace {

// The number of processes that the launcher says it started; 1 where none did.
int launched_processes() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    if (const char* value = std::getenv(name)) {
      return static_cast<int>(std::strtol(value, nullptr, 10));
    }
  }
  return 1;
}

}  // namespace

Session::Session() {
  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread");
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  core::require(provided == MPI_THREAD_MULTIPLE, "topology",
                "MPI was built without MPI_THREAD_MULTIPLE (it offers level {}); use an Open MPI that has it",
                provided);
  MPI_Comm comm = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm), "MPI_Comm_dup");
  world_ = adopt_communicator(comm);
  core::require<core::UserError>(
      world_.size() > 1 || launched_processes() <= 1, "topology",
      "the launcher started {} processes, but each sees an MPI world of one; under Slurm, use srun --mpi=pmix",
      launched_processes());
}

Session::~Session() {
  world_ = Group::self();
  MPI_Finalize();
}

void Session::abort(int status) const {
  MPI_Abort(MPI_COMM_WORLD, status);
  std::abort();  // not reached where MPI_Abort does its work
}

std::string mpi_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  check_mpi(MPI_Get_library_version(text.data(), &length), "MPI_Get_library_version");
  const std::string whole(text.data(), static_cast<std::size_t>(length));
  return whole.substr(0, whole.find(','));
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

}  // namespace tessera::topology
