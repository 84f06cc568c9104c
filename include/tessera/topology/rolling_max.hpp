#pragma once

#include "tessera/topology/group.hpp"

#include <cstdint>
#include <memory>

namespace tessera::topology {

/// One number of every rank at each of many points, of which all ranks learn the greatest at the next point: between
/// two points the exchange runs beside whatever the ranks do.
class RollingMax {
 public:
  /// With a communicator of its own, and `group`'s board, which outlives this. Collective over `group`.
  explicit RollingMax(const Group& group);
  RollingMax(const RollingMax&) = delete;
  RollingMax& operator=(const RollingMax&) = delete;
  /// Waits for a moment for the exchange that is under way; one that some rank never entered is left behind.
  ~RollingMax();

  /// Gives `mine`, and returns the greatest of what the ranks gave at the call before (0 at the first); a rank alone
  /// learns its own at once. Collective over the group.
  std::int64_t exchange(std::int64_t mine);

 private:
  struct Round;
  std::unique_ptr<Round> round_;
};

}  // namespace tessera::topology
