#include "tessera/topology/links.hpp"
#include "topology/mpi_check.hpp"

#include <mpi.h>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace tessera::topology {
namespace {

// Seconds of `repeats` messages there and back.
double seconds_of(MPI_Comm comm, int rank, std::vector<std::byte>& message, int repeats) {
  constexpr int kTag = 0;
  const int other = 1 - rank;
  const auto count = static_cast<int>(message.size());
  const auto send = [&] { check_mpi(MPI_Send(message.data(), count, MPI_BYTE, other, kTag, comm), "MPI_Send"); };
  const auto receive = [&] {
    check_mpi(MPI_Recv(message.data(), count, MPI_BYTE, other, kTag, comm, MPI_STATUS_IGNORE), "MPI_Recv");
  };
  const double start = MPI_Wtime();
  for (int i = 0; i < repeats; ++i) {
    if (rank == 0) {
      send();
      receive();
    } else {
      receive();
      send();
    }
  }
  return MPI_Wtime() - start;
}

// One way, the best of several rounds: what else runs on the machine can only make it slower.
double best_one_way(const Group& pair, std::size_t bytes, int rounds, int repeats) {
  const MPI_Comm comm = *static_cast<const MPI_Comm*>(pair.mpi_communicator());
  std::vector<std::byte> message(bytes);
  seconds_of(comm, pair.rank(), message, 1);  // connects
  double best = 1e30;
  for (int round = 0; round < rounds; ++round) {
    best = std::min(best, seconds_of(comm, pair.rank(), message, repeats) / (2.0 * repeats));
  }
  return best;
}

}  // namespace

LinkFigures ping_pong(const Group& pair, std::size_t bytes) {
  constexpr std::size_t kSmallMessage = 8;
  constexpr std::size_t kLargestMessage = std::size_t{1} << 30U;  // MPI counts are ints
  const std::size_t large = std::clamp(bytes, kSmallMessage, kLargestMessage);
  const double latency = best_one_way(pair, kSmallMessage, 10, 20);
  const double seconds = best_one_way(pair, large, 5, 1);
  return {latency, static_cast<double>(large) / std::max(seconds, 1e-9)};
}

}  // namespace tessera::topology
