#include "comm/rank_order_sum.hpp"

#include "tessera/core/error.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace tessera::comm {
namespace {

constexpr std::size_t kBlock = 2048;  // fits the first-level cache

float load(float value) { return value; }
float load(std::uint16_t bits) { return core::bf16_to_float(bits); }
void store(float value, float& to) { to = value; }
void store(float value, std::uint16_t& to) { to = core::float_to_bf16(value); }

template <class T>
void sum_blocks(const std::vector<const void*>& parts, std::size_t count, T* result) {
  std::array<float, kBlock> total{};
  for (std::size_t begin = 0; begin < count; begin += kBlock) {
    const std::size_t n = std::min(kBlock, count - begin);
    for (std::size_t p = 0; p < parts.size(); ++p) {
      const T* part = static_cast<const T*>(parts[p]) + begin;
      for (std::size_t i = 0; i < n; ++i) {
        total[i] = p == 0 ? load(part[i]) : total[i] + load(part[i]);
      }
    }
    for (std::size_t i = 0; i < n; ++i) {
      store(total[i], result[begin + i]);
    }
  }
}

}  // namespace

void rank_order_sum(const std::vector<const void*>& parts, std::size_t count, core::DType dtype, void* result) {
  switch (dtype) {
    case core::DType::kFloat32:
      return sum_blocks(parts, count, static_cast<float*>(result));
    case core::DType::kBFloat16:
      return sum_blocks(parts, count, static_cast<std::uint16_t*>(result));
    case core::DType::kFloat16:
      break;
  }
  core::fail("comm", "sums of {} are not taken here", core::name_of(dtype));
}

}  // namespace tessera::comm
