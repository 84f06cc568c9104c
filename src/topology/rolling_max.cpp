#include "tessera/topology/rolling_max.hpp"

#include "topology/group_impl.hpp"
#include "topology/mpi_check.hpp"

#include <chrono>
#include <thread>

namespace tessera::topology {

// In memory of its own, which MPI may write as long as the exchange is under way.
struct RollingMax::Round {
  explicit Round(const Group& of) : group(of.duplicate()), board(of.board()) {}

  Group group;
  core::ProgressBoard* board;
  std::int64_t given = 0;
  std::int64_t greatest = 0;
  MPI_Request request = MPI_REQUEST_NULL;
};

RollingMax::RollingMax(const Group& group) : round_(std::make_unique<Round>(group)) {}

RollingMax::~RollingMax() {
  constexpr auto kPatience = std::chrono::seconds(1);
  const auto start = std::chrono::steady_clock::now();
  int done = 0;
  while (round_->request != MPI_REQUEST_NULL && MPI_Test(&round_->request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS &&
         done == 0) {
    if (std::chrono::steady_clock::now() - start > kPatience) {
      [[maybe_unused]] Round* const left_behind = round_.release();  // MPI may still write it
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

std::int64_t RollingMax::exchange(std::int64_t mine) {
  Round& round = *round_;
  if (round.group.size() == 1) {
    return mine;
  }
  const core::ProgressBoard::Wait waiting(round.board, {"the vote on stopping"});
  check_mpi(MPI_Wait(&round.request, MPI_STATUS_IGNORE), "MPI_Wait");
  const std::int64_t before = round.greatest;
  round.given = mine;
  check_mpi(MPI_Iallreduce(&round.given, &round.greatest, 1, MPI_INT64_T, MPI_MAX,
                           *static_cast<const MPI_Comm*>(round.group.mpi_communicator()), &round.request),
            "MPI_Iallreduce");
  return before;
}

}  // namespace tessera::topology
