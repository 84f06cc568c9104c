#pragma once

#include "tessera/core/stream.hpp"

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <memory>
#include <optional>

namespace tessera::engine {

/// Copies between the host and a device, on a stream of their own beside the computation. For the CPU there is no such
/// thing: they are made at once.
class SideCopies {
 public:
  explicit SideCopies(c10::Device device);

  /// The end of a copy.
  class Done {
   public:
    Done() = default;  ///< has happened
    /// The calling thread waits.
    void wait() const;
    /// The current stream waits.
    void block_current() const;

   private:
    friend class SideCopies;
    std::shared_ptr<c10::Event> event_;
  };

  /// For what the next copies are to wait for: a collective's ticket.
  [[nodiscard]] core::Stream stream() const;
  /// The next copies come after everything that is on the current stream by now.
  void follow_current();
  /// Both stay as they are until the end of the copy. Host memory is pinned.
  Done copy(const at::Tensor& destination, const at::Tensor& source);

 private:
  std::optional<c10::Stream> stream_;
};

}  // namespace tessera::engine
