#pragma once

#include "tessera/topology/group.hpp"

#include <mpi.h>

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>

namespace tessera::topology {

/// What watchdogs tell each other.
struct WatchMessage {
  enum Kind : std::int32_t {
    kAlive,   ///< to the next rank: a sign of life, with its report
    kBye,     ///< to the next rank: no more of them, in order
    kAlarm,   ///< to the rank that speaks: `text` is wrong with rank `about`
    kAsk,     ///< from the rank that speaks: report
    kReport,  ///< to it: how far this rank got
    kEnd,     ///< from it: end
  };
  std::int32_t kind = kAlive;
  std::int32_t about = -1;
  std::int64_t step = 0;
  std::int64_t num_collectives = 0;
  double silent_seconds = 0;     ///< of an alarm about a rank
  std::array<char, 480> text{};  ///< ends with 0

  void set_text(const std::string& words);
};
static_assert(std::is_trivially_copyable_v<WatchMessage>);

/// Sends and receives WatchMessages over a communicator of its own, without ever waiting. For one thread.
class WatchMail {
 public:
  /// Collective over `world`.
  explicit WatchMail(const Group& world);
  WatchMail(const WatchMail&) = delete;
  WatchMail& operator=(const WatchMail&) = delete;
  /// What was not delivered is left to MPI.
  ~WatchMail();

  void send(int rank, const WatchMessage& message);
  struct Letter {
    int from = -1;
    WatchMessage message;
  };
  /// The next message that has arrived, if any.
  std::optional<Letter> receive();
  /// Whether everything sent has left this rank.
  bool all_sent();

  /// MPI_Abort with this status.
  void abort(int status) const;

 private:
  struct Sent {
    WatchMessage message;
    MPI_Request request = MPI_REQUEST_NULL;
  };

  [[nodiscard]] MPI_Comm comm() const;
  void listen();

  Group group_;
  std::list<std::unique_ptr<Sent>> sent_;
  std::unique_ptr<Sent> incoming_;
};

}  // namespace tessera::topology
