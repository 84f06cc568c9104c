#include "tessera/topology/group.hpp"

#include "topology/group_impl.hpp"
#include "topology/mpi_check.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

namespace tessera::topology {
namespace {

// MPI counts are ints; longer messages go in pieces.
constexpr std::size_t kLargestMessage = std::size_t{1} << 30U;

// MPI's own waiting polls without a pause. A thread that has no core to itself asks, and sleeps, in turns.
void wait_patiently(MPI_Request request, const char* what) {
  constexpr std::chrono::microseconds kShortest{20};
  constexpr std::chrono::microseconds kLongest{1000};
  int done = 0;
  for (auto pause = kShortest;; pause = std::min(2 * pause, kLongest)) {
    check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), what);
    if (done != 0) {
      return;
    }
    std::this_thread::sleep_for(pause);
  }
}

// One collective operation, in its form that waits or in the one that returns a request.
template <class Blocking, class Starting>
void communicate(const Group::Impl& impl, const char* what, const Blocking& block, const Starting& start) {
  if (!impl.patient) {
    const core::ProgressBoard::Wait waiting(impl.board.get(), {what});
    check_mpi(block(), what);
    return;
  }
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(start(&request), what);
  wait_patiently(request, what);
}

template <class T>
void all_reduce(const Group::Impl& impl, std::span<T> values, MPI_Datatype type, MPI_Op op) {
  if (impl.size == 1 || values.empty()) {
    return;
  }
  const auto count = static_cast<int>(values.size());
  communicate(
      impl, "MPI_Allreduce", [&] { return MPI_Allreduce(MPI_IN_PLACE, values.data(), count, type, op, impl.comm); },
      [&](MPI_Request* request) {
        return MPI_Iallreduce(MPI_IN_PLACE, values.data(), count, type, op, impl.comm, request);
      });
}

}  // namespace

Group::Impl::~Impl() {
  if (owned) {
    MPI_Comm_free(&comm);
  }
}

Group::Group(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

Group Group::self() {
  static const auto impl = std::make_shared<const Impl>();
  return Group(impl);
}

int Group::rank() const { return impl_->rank; }
int Group::size() const { return impl_->size; }

void Group::barrier() const {
  if (size() > 1) {
    communicate(
        *impl_, "MPI_Barrier", [&] { return MPI_Barrier(impl_->comm); },
        [&](MPI_Request* request) { return MPI_Ibarrier(impl_->comm, request); });
  }
}

void Group::broadcast(std::span<std::byte> bytes, int root) const {
  if (size() == 1) {
    return;
  }
  for (std::size_t done = 0; done < bytes.size(); done += kLargestMessage) {
    const auto count = static_cast<int>(std::min(kLargestMessage, bytes.size() - done));
    std::byte* const next = bytes.data() + done;
    communicate(
        *impl_, "MPI_Bcast", [&] { return MPI_Bcast(next, count, MPI_BYTE, root, impl_->comm); },
        [&](MPI_Request* request) { return MPI_Ibcast(next, count, MPI_BYTE, root, impl_->comm, request); });
  }
}

std::string Group::broadcast(std::string text, int root) const {
  auto length = static_cast<std::int64_t>(text.size());
  broadcast(std::as_writable_bytes(std::span(&length, 1)), root);
  text.resize(static_cast<std::size_t>(length));
  broadcast(std::as_writable_bytes(std::span(text.data(), text.size())), root);
  return text;
}

void Group::sum(std::span<double> values) const { all_reduce(*impl_, values, MPI_DOUBLE, MPI_SUM); }
void Group::sum(std::span<std::int64_t> values) const { all_reduce(*impl_, values, MPI_INT64_T, MPI_SUM); }
void Group::max(std::span<double> values) const { all_reduce(*impl_, values, MPI_DOUBLE, MPI_MAX); }
void Group::min(std::span<double> values) const { all_reduce(*impl_, values, MPI_DOUBLE, MPI_MIN); }

std::vector<std::string> Group::gather(const std::string& text) const {
  if (size() == 1) {
    return {text};
  }
  const auto num_ranks = static_cast<std::size_t>(size());
  const MPI_Comm comm = impl_->comm;
  const int length = static_cast<int>(text.size());
  std::vector<int> lengths(num_ranks);
  communicate(
      *impl_, "MPI_Allgather", [&] { return MPI_Allgather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, comm); },
      [&](MPI_Request* request) {
        return MPI_Iallgather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, comm, request);
      });
  std::vector<int> starts(num_ranks, 0);
  std::exclusive_scan(lengths.begin(), lengths.end(), starts.begin(), 0);
  std::string all(static_cast<std::size_t>(starts.back() + lengths.back()), '\0');
  communicate(
      *impl_, "MPI_Allgatherv",
      [&] {
        return MPI_Allgatherv(text.data(), length, MPI_CHAR, all.data(), lengths.data(), starts.data(), MPI_CHAR, comm);
      },
      [&](MPI_Request* request) {
        return MPI_Iallgatherv(text.data(), length, MPI_CHAR, all.data(), lengths.data(), starts.data(), MPI_CHAR, comm,
                               request);
      });
  std::vector<std::string> texts;
  for (std::size_t rank = 0; rank < num_ranks; ++rank) {
    texts.push_back(all.substr(static_cast<std::size_t>(starts[rank]), static_cast<std::size_t>(lengths[rank])));
  }
  return texts;
}

Group Group::split(int color) const {
  if (impl_->comm == MPI_COMM_NULL) {
    return self();
  }
  MPI_Comm part = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(impl_->comm, color, rank(), &part), "MPI_Comm_split");
  return adopt_communicator(part, /*patient=*/false, impl_->board);
}

Group Group::split_by_node() const {
  if (impl_->comm == MPI_COMM_NULL) {
    return self();
  }
  MPI_Comm part = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(impl_->comm, MPI_COMM_TYPE_SHARED, rank(), MPI_INFO_NULL, &part),
            "MPI_Comm_split_type");
  return adopt_communicator(part, /*patient=*/false, impl_->board);
}

Group Group::duplicate() const {
  if (impl_->comm == MPI_COMM_NULL) {
    return self();
  }
  MPI_Comm copy = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(impl_->comm, &copy), "MPI_Comm_dup");
  return adopt_communicator(copy, /*patient=*/true);
}

const void* Group::mpi_communicator() const {
  return impl_->comm == MPI_COMM_NULL ? nullptr : static_cast<const void*>(&impl_->comm);
}

core::ProgressBoard* Group::board() const { return impl_->board.get(); }

Group adopt_communicator(MPI_Comm comm, bool patient, std::shared_ptr<core::ProgressBoard> board) {
  auto impl = std::make_shared<Group::Impl>();
  impl->comm = comm;
  impl->owned = true;
  impl->patient = patient;
  impl->board = std::move(board);
  check_mpi(MPI_Comm_rank(comm, &impl->rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(comm, &impl->size), "MPI_Comm_size");
  return Group(impl);
}

}  // namespace tessera::topology
