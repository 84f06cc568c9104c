#include "comm/watched.hpp"

#include <utility>

namespace tessera::comm {
namespace {

using core::CollectiveNote;
using core::ProgressBoard;

class WatchedPending final : public Ticket::Pending {
 public:
  WatchedPending(Ticket ticket, ProgressBoard& board, const CollectiveNote& note)
      : ticket_(std::move(ticket)), board_(board), note_(note) {}
  void wait(core::Stream consumer) override {
    const ProgressBoard::Wait waiting(&board_, note_);
    ticket_.wait(consumer);
  }

 private:
  Ticket ticket_;
  ProgressBoard& board_;
  CollectiveNote note_;
};

class WatchedCollectives final : public Collectives {
 public:
  WatchedCollectives(std::unique_ptr<Collectives> inner, ProgressBoard& board)
      : inner_(std::move(inner)), board_(board) {}

  [[nodiscard]] int rank() const override { return inner_->rank(); }
  [[nodiscard]] int size() const override { return inner_->size(); }
  [[nodiscard]] std::string name() const override { return inner_->name(); }
  [[nodiscard]] std::string device_error() override { return inner_->device_error(); }
  [[nodiscard]] std::int64_t num_completed() override { return inner_->num_completed(); }
  void abort() noexcept override { inner_->abort(); }
  void announce(int bucket) override { bucket_ = bucket; }

  Ticket reduce_scatter(const void* send, void* receive, std::size_t count, core::DType dtype,
                        core::Stream producer) override {
    return begin("reduce_scatter", count * static_cast<std::size_t>(size()), dtype,
                 [&] { return inner_->reduce_scatter(send, receive, count, dtype, producer); });
  }
  Ticket all_gather(const void* send, void* receive, std::size_t count, core::DType dtype,
                    core::Stream producer) override {
    return begin("all_gather", count, dtype, [&] { return inner_->all_gather(send, receive, count, dtype, producer); });
  }
  Ticket all_reduce(void* buffer, std::size_t count, core::DType dtype, core::Stream producer) override {
    return begin("all_reduce", count, dtype, [&] { return inner_->all_reduce(buffer, count, dtype, producer); });
  }
  Ticket broadcast(void* buffer, std::size_t count, core::DType dtype, int root, core::Stream producer) override {
    return begin("broadcast", count, dtype, [&] { return inner_->broadcast(buffer, count, dtype, root, producer); });
  }

 private:
  template <class Start>
  Ticket begin(const char* kind, std::size_t count, core::DType dtype, const Start& start) {
    const auto bytes = static_cast<std::int64_t>(count * core::size_of(dtype));
    const CollectiveNote note = board_.begin_collective({kind, std::exchange(bucket_, -1), bytes, 0});
    const ProgressBoard::Wait waiting(&board_, note);  // where ranks are behind, beginning may have to wait
    Ticket ticket = start();
    return ticket.pending() ? Ticket(std::make_unique<WatchedPending>(std::move(ticket), board_, note))
                            : std::move(ticket);
  }

  std::unique_ptr<Collectives> inner_;
  ProgressBoard& board_;
  int bucket_ = -1;
};

}  // namespace

std::unique_ptr<Collectives> watched(std::unique_ptr<Collectives> collectives, ProgressBoard& board) {
  return std::make_unique<WatchedCollectives>(std::move(collectives), board);
}

}  // namespace tessera::comm
