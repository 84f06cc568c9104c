#pragma once

#include "tessera/checkpoint/memory_copier.hpp"
#include "tessera/state/state_view.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tessera::checkpoint {

/// Moves elements between the memory of a StateView, which may be a device's, in halves or in 8 bits, and a host's
/// bytes of its type, through buffers that are as large as the largest piece. Pieces in 8 bits begin with a block.
class ViewMemory {
 public:
  explicit ViewMemory(const MemoryCopier& copier) : copier_(copier) {}

  /// The bytes of elements [begin, end) of the parameter: the view's own where it can, or a buffer's, until the next
  /// call.
  const std::byte* read(const state::StateView& view, std::int64_t begin, std::int64_t end);

  /// Where a caller may put the bytes of [begin, end) itself: null where they have to go through write().
  std::byte* in_place(const state::StateView& view, std::int64_t begin) const;
  void write(const state::StateView& view, std::int64_t begin, std::int64_t end, const std::byte* bytes);

 private:
  // `first` counts elements of the view.
  const std::byte* read_halves(const state::StateView& view, std::int64_t first, std::size_t count);
  const std::byte* read_codes(const state::StateView& view, std::int64_t first, std::size_t count);
  void write_halves(const state::StateView& view, std::int64_t first, std::size_t count, const std::byte* bytes);
  void write_codes(const state::StateView& view, std::int64_t first, std::size_t count, const std::byte* bytes);

  const std::byte* fetch(const void* memory, std::size_t bytes, std::vector<std::byte>& buffer) const;
  void store(void* memory, const void* bytes, std::size_t size) const;

  const MemoryCopier& copier_;
  std::vector<std::byte> bytes_;
  std::vector<std::byte> high_;  // or codes
  std::vector<std::byte> low_;   // or scales
  std::vector<float> scales_;
  std::vector<float> floats_;
};

}  // namespace tessera::checkpoint
