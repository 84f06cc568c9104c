#include "topology/watch_mail.hpp"

#include "topology/mpi_check.hpp"

#include <algorithm>
#include <cstring>

namespace tessera::topology {
namespace {

constexpr int kTag = 1;
constexpr int kBytes = static_cast<int>(sizeof(WatchMessage));

}  // namespace

void WatchMessage::set_text(const std::string& words) {
  text.fill('\0');
  std::memcpy(text.data(), words.data(), std::min(words.size(), text.size() - 1));
}

WatchMail::WatchMail(const Group& world) : group_(world.duplicate()) { listen(); }

MPI_Comm WatchMail::comm() const { return *static_cast<const MPI_Comm*>(group_.mpi_communicator()); }

void WatchMail::listen() {
  incoming_ = std::make_unique<Sent>();
  check_mpi(MPI_Irecv(&incoming_->message, kBytes, MPI_BYTE, MPI_ANY_SOURCE, kTag, comm(), &incoming_->request),
            "MPI_Irecv");
}

WatchMail::~WatchMail() {
  MPI_Cancel(&incoming_->request);
  MPI_Wait(&incoming_->request, MPI_STATUS_IGNORE);
  if (!all_sent()) {
    for (std::unique_ptr<Sent>& sent : sent_) {
      MPI_Request_free(&sent->request);
      [[maybe_unused]] Sent* const left_behind = sent.release();  // MPI may still read it
    }
  }
}

void WatchMail::send(int rank, const WatchMessage& message) {
  all_sent();  // forgets what is
  sent_.push_back(std::make_unique<Sent>());
  Sent& sent = *sent_.back();
  sent.message = message;
  check_mpi(MPI_Isend(&sent.message, kBytes, MPI_BYTE, rank, kTag, comm(), &sent.request), "MPI_Isend");
}

std::optional<WatchMail::Letter> WatchMail::receive() {
  int arrived = 0;
  MPI_Status status{};
  check_mpi(MPI_Test(&incoming_->request, &arrived, &status), "MPI_Test");
  if (arrived == 0) {
    return std::nullopt;
  }
  Letter letter{status.MPI_SOURCE, incoming_->message};
  listen();
  return letter;
}

bool WatchMail::all_sent() {
  std::erase_if(sent_, [](const std::unique_ptr<Sent>& sent) {
    int done = 0;
    return MPI_Test(&sent->request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || done != 0;
  });
  return sent_.empty();
}

void WatchMail::abort(int status) const { MPI_Abort(comm(), status); }

}  // namespace tessera::topology
