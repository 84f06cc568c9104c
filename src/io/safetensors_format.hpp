#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace tessera::io {

constexpr std::uint64_t kSafetensorsMaxHeader = 100'000'000;  // of the reference reader
constexpr std::uint64_t kSafetensorsPrefix = 8;               // bytes that hold the header's length

struct SafetensorsDtype {
  std::string_view name;
  std::int64_t bits;
};

// Of the reference implementation, safetensors/src/tensor.rs.
constexpr std::array<SafetensorsDtype, 22> kSafetensorsDtypes{
    {{"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
     {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
     {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
     {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}}};

}  // namespace tessera::io
