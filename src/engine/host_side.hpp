#pragma once

#include "engine/side_copies.hpp"
#include "engine/worker.hpp"

namespace tessera::engine {

/// What a run with offload has on the host: the thread that adds up gradients and updates parameters there, and the
/// ways down and up. Each direction has its own stream, as a GPU has an engine for each.
struct HostSide {
  explicit HostSide(c10::Device device) : down(device), up(device) {}

  SideCopies down;
  SideCopies up;
  Worker worker;  // last: its jobs use the others
};

}  // namespace tessera::engine
