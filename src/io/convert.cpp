#include "tessera/io/convert.hpp"

#include "tessera/core/error.hpp"

#include <bit>
#include <cstring>

namespace tessera::io {
namespace {

using core::DType;

template <class T>
T load(const void* source, std::size_t index) {
  T value{};
  std::memcpy(&value, static_cast<const std::byte*>(source) + index * sizeof(T), sizeof(T));
  return value;
}

template <class T>
void store(void* target, std::size_t index, T value) {
  std::memcpy(static_cast<std::byte*>(target) + index * sizeof(T), &value, sizeof(T));
}

template <class ToFloat>
void half_width_to_float(const void* source, void* target, std::size_t count, ToFloat to_float) {
  for (std::size_t i = 0; i < count; ++i) {
    store(target, i, to_float(load<std::uint16_t>(source, i)));
  }
}

}  // namespace

float fp16_to_float(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16U;
  const std::uint32_t exponent = (bits >> 10U) & 0x1FU;
  const std::uint32_t mantissa = bits & 0x3FFU;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;  // subnormals (and zero) are multiples of 2^-24
    return sign != 0 ? -magnitude : magnitude;
  }
  // 112 = 127 - 15, the difference of the biases; all ones stay all ones.
  const std::uint32_t wide_exponent = exponent == 0x1FU ? 0xFFU : exponent + 112U;
  return std::bit_cast<float>(sign | (wide_exponent << 23U) | (mantissa << 13U));
}

void convert_elements(DType from, const void* source, DType to, void* target, std::size_t count) {
  if (from == to) {
    std::memcpy(target, source, count * core::size_of(from));
    return;
  }
  core::require(to != DType::kFloat16, "io", "fp16 is read, never written");
  if (from == DType::kFloat32) {
    for (std::size_t i = 0; i < count; ++i) {
      store(target, i, core::float_to_bf16(load<float>(source, i)));
    }
  } else if (from == DType::kBFloat16) {
    half_width_to_float(source, target, count, core::bf16_to_float);
  } else if (to == DType::kFloat32) {
    half_width_to_float(source, target, count, fp16_to_float);
  } else {
    for (std::size_t i = 0; i < count; ++i) {
      store(target, i, core::float_to_bf16(fp16_to_float(load<std::uint16_t>(source, i))));
    }
  }
}

}  // namespace tessera::io
