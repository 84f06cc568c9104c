#include "tessera/topology/session.hpp"

#include "topology/give_way.hpp"
#include "topology/group_impl.hpp"
#include "topology/mpi_check.hpp"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <initializer_list>

namespace tessera::topology {
namespace {

// The first of these variables that is set; `otherwise` where none is.
int number_in(std::initializer_list<const char*> names, int otherwise) {
  for (const char* name : names) {
    if (const char* value = std::getenv(name)) {
      return static_cast<int>(std::strtol(value, nullptr, 10));
    }
  }
  return otherwise;
}

// The number of processes that the launcher says it started; 1 where none did.
int launched_processes() { return number_in({"OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"}, 1); }

}  // namespace

Session::Session() {
  sleep_to_yield(mpi_yields());
  // A process that nobody launched needs no daemon (orted), which Open MPI 4 would start for it: half a second of a
  // run. Where there was a launcher, this means nothing.
  setenv("OMPI_MCA_ess_singleton_isolated", "1", /*overwrite=*/0);
  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread");
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  core::require<core::UserError>(
      provided == MPI_THREAD_MULTIPLE, "topology",
      "{} offers threads of level {} and not MPI_THREAD_MULTIPLE, with which checkpoints are written beside the "
      "training: "
      "load an MPI that was built with it (Open MPI: --enable-mpi-thread-multiple, the default since 4.0)",
      mpi_version(), provided);
  MPI_Comm comm = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm), "MPI_Comm_dup");
  world_ = adopt_communicator(comm, /*patient=*/false, std::make_shared<core::ProgressBoard>());
  const int launched = launched_processes();
  core::require<core::UserError>(world_.size() > 1 || launched <= 1, "topology",
                                 "the launcher started {} processes, but each sees an MPI world of one: under Slurm, "
                                 "use srun --mpi=pmix with an MPI "
                                 "that knows PMIx (ompi_info lists it), or mpirun within the job",
                                 launched);
  core::require<core::UserError>(
      world_.size() == launched || launched <= 1, "topology",
      "the launcher started {} processes, and MPI's world has {}: some did not come up; submit "
      "the job again, without the nodes that its log names",
      launched, world_.size());
}

int launched_rank() { return number_in({"OMPI_COMM_WORLD_RANK", "SLURM_PROCID"}, 0); }

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

std::string compiled_mpi_version() {
#if defined(OMPI_MAJOR_VERSION)
  return fmt::format("Open MPI v{}.{}.{}", OMPI_MAJOR_VERSION, OMPI_MINOR_VERSION, OMPI_RELEASE_VERSION);
#else
  return mpi_version();
#endif
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

}  // namespace tessera::topology
