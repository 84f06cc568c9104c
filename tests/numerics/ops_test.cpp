// The tables of ops are complete, and a build without CUDA says so.
#include "tessera/kernels/ops.hpp"

#include "tessera/core/error.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <string>

namespace tessera::kernels {
namespace {

/// Ops is function pointers alone, so that one that is added later is looked at too.
bool is_complete(const Ops& ops) {
  const auto entries = std::bit_cast<std::array<std::uintptr_t, sizeof(Ops) / sizeof(std::uintptr_t)>>(ops);
  return std::none_of(entries.begin(), entries.end(), [](std::uintptr_t entry) { return entry == 0; });
}

TEST(OpsTables, HaveEveryOp) {
  EXPECT_TRUE(is_complete(reference_ops()));
  EXPECT_TRUE(is_complete(ops_for(c10::DeviceType::CPU)));
}

TEST(OpsTables, HaveEveryCudaOpOrSayHowToGetThem) {
  try {
    EXPECT_TRUE(is_complete(ops_for(c10::DeviceType::CUDA)));
  } catch (const core::Error& error) {
    EXPECT_NE(std::string(error.what()).find("-DTESSERA_CUDA=ON"), std::string::npos) << error.what();
  }
}

TEST(OpsTables, AreForKnownDevicesAlone) { EXPECT_THROW(ops_for(c10::DeviceType::MPS), core::Error); }

}  // namespace
}  // namespace tessera::kernels
