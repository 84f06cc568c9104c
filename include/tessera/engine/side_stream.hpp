#pragma once

#include "tessera/core/stream.hpp"

#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <functional>
#include <memory>
#include <optional>

namespace tessera::engine {

/// A stream of a device beside the computation, for what crosses the bus to host memory. A CPU has no streams: what is
/// run is done at once.
class SideStream {
 public:
  explicit SideStream(c10::Device device);

  /// The end of what was run.
  class Done {
   public:
    Done() = default;  ///< has happened
    /// The current stream waits.
    void block_current() const;

   private:
    friend class SideStream;
    std::shared_ptr<c10::Event> event_;
  };

  /// For what is to wait for it, or it for: collectives and their tickets.
  [[nodiscard]] core::Stream stream() const;
  /// What is run from now on comes after everything that is on the current stream by now.
  void follow_current();
  /// Enqueues here what `work` enqueues on the current stream.
  Done run(const std::function<void()>& work);
  /// The calling thread waits for all of it.
  void synchronize() const;

 private:
  std::optional<c10::Stream> stream_;
};

}  // namespace tessera::engine
