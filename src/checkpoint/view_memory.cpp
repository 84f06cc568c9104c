#include "checkpoint/view_memory.hpp"

#include "tessera/core/error.hpp"
#include "tessera/core/scale_blocks.hpp"
#include "tessera/core/split_float.hpp"

#include <algorithm>
#include <cstring>

namespace tessera::checkpoint {
namespace {

constexpr std::size_t kHalf = sizeof(std::uint16_t);

// The address of an element of a view's memory, or of one half's.
std::byte* at(void* memory, std::int64_t element, std::size_t element_bytes) {
  return static_cast<std::byte*>(memory) + static_cast<std::size_t>(element) * element_bytes;
}

// The scale of the block that begins with an element of the view.
std::byte* scales_at(const state::StateView& view, std::int64_t first) {
  core::require(first % core::kScaleBlock == 0, "checkpoint", "a piece of {} begins within a block of codes",
                view.parameter);
  return at(view.scales, first / core::kScaleBlock, sizeof(float));
}

}  // namespace

const std::byte* ViewMemory::read(const state::StateView& view, std::int64_t begin, std::int64_t end) {
  const auto count = static_cast<std::size_t>(end - begin);
  const std::int64_t first = begin - view.begin;
  if (view.low != nullptr) {
    return read_halves(view, first, count);
  }
  if (view.scales != nullptr) {
    return read_codes(view, first, count);
  }
  const std::size_t element_bytes = core::size_of(view.dtype);
  return fetch(at(view.data, first, element_bytes), count * element_bytes, bytes_);
}

const std::byte* ViewMemory::read_halves(const state::StateView& view, std::int64_t first, std::size_t count) {
  const std::byte* const high = fetch(at(view.data, first, kHalf), count * kHalf, high_);
  const std::byte* const low = fetch(at(view.low, first, kHalf), count * kHalf, low_);
  bytes_.resize(std::max(bytes_.size(), count * sizeof(float)));
  for (std::size_t i = 0; i < count; ++i) {
    core::SplitFloat halves{};
    std::memcpy(&halves.high, high + i * kHalf, kHalf);
    std::memcpy(&halves.low, low + i * kHalf, kHalf);
    const std::uint32_t bits = core::join_float(halves);
    std::memcpy(bytes_.data() + i * sizeof(bits), &bits, sizeof(bits));
  }
  return bytes_.data();
}

const std::byte* ViewMemory::read_codes(const state::StateView& view, std::int64_t first, std::size_t count) {
  const auto size = static_cast<std::int64_t>(count);
  const auto num_blocks = static_cast<std::size_t>(core::num_scale_blocks(size));
  const std::byte* const codes = fetch(at(view.data, first, 1), count, high_);
  const std::size_t scale_bytes = num_blocks * sizeof(float);
  scales_.resize(num_blocks);  // aligned, as a snapshot's need not be
  std::memcpy(scales_.data(), fetch(scales_at(view, first), scale_bytes, low_), scale_bytes);
  floats_.resize(std::max(floats_.size(), count));
  core::decode_blocks(reinterpret_cast<const std::uint8_t*>(codes), scales_.data(), state::is_signed(view.component),
                      size, floats_.data());
  return reinterpret_cast<const std::byte*>(floats_.data());
}

std::byte* ViewMemory::in_place(const state::StateView& view, std::int64_t begin) const {
  const bool is_plain = view.low == nullptr && view.scales == nullptr && !copier_.from_host;
  return is_plain ? at(view.data, begin - view.begin, core::size_of(view.dtype)) : nullptr;
}

void ViewMemory::write(const state::StateView& view, std::int64_t begin, std::int64_t end, const std::byte* bytes) {
  const auto count = static_cast<std::size_t>(end - begin);
  const std::int64_t first = begin - view.begin;
  if (view.low != nullptr) {
    write_halves(view, first, count, bytes);
  } else if (view.scales != nullptr) {
    write_codes(view, first, count, bytes);
  } else {
    const std::size_t element_bytes = core::size_of(view.dtype);
    store(at(view.data, first, element_bytes), bytes, count * element_bytes);
  }
}

void ViewMemory::write_halves(const state::StateView& view, std::int64_t first, std::size_t count,
                              const std::byte* bytes) {
  high_.resize(std::max(high_.size(), count * kHalf));
  low_.resize(std::max(low_.size(), count * kHalf));
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, bytes + i * sizeof(bits), sizeof(bits));
    const core::SplitFloat halves = core::split_float(bits);
    std::memcpy(high_.data() + i * kHalf, &halves.high, kHalf);
    std::memcpy(low_.data() + i * kHalf, &halves.low, kHalf);
  }
  store(at(view.data, first, kHalf), high_.data(), count * kHalf);
  store(at(view.low, first, kHalf), low_.data(), count * kHalf);
}

void ViewMemory::write_codes(const state::StateView& view, std::int64_t first, std::size_t count,
                             const std::byte* bytes) {
  floats_.resize(std::max(floats_.size(), count));
  std::memcpy(floats_.data(), bytes, count * sizeof(float));
  high_.resize(std::max(high_.size(), count));
  const auto size = static_cast<std::int64_t>(count);
  scales_.resize(static_cast<std::size_t>(core::num_scale_blocks(size)));
  core::encode_blocks(floats_.data(), state::is_signed(view.component), size,
                      reinterpret_cast<std::uint8_t*>(high_.data()), scales_.data());
  store(at(view.data, first, 1), high_.data(), count);
  store(scales_at(view, first), scales_.data(), scales_.size() * sizeof(float));
}

const std::byte* ViewMemory::fetch(const void* memory, std::size_t bytes, std::vector<std::byte>& buffer) const {
  if (!copier_.to_host) {
    return static_cast<const std::byte*>(memory);
  }
  buffer.resize(std::max(buffer.size(), bytes));
  copier_.to_host(buffer.data(), memory, bytes);
  return buffer.data();
}

void ViewMemory::store(void* memory, const void* bytes, std::size_t size) const {
  if (copier_.from_host) {
    copier_.from_host(memory, bytes, size);
  } else {
    std::memcpy(memory, bytes, size);
  }
}

}  // namespace tessera::checkpoint
