#include "tessera/core/dtype.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/handle.hpp"
#include "tessera/core/philox.hpp"
#include "tessera/core/split_float.hpp"
#include "tessera/core/stop_signals.hpp"
#include "tessera/core/suggest.hpp"
#include "tessera/core/units.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <bit>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace tessera::core {
namespace {

TEST(BFloat16, RoundsToNearestEven) {
  EXPECT_EQ(float_to_bf16(1.0F), 0x3F80);
  EXPECT_EQ(float_to_bf16(1.00390625F), 0x3F80);  // halfway between 0x3F80 and 0x3F81: to even
  EXPECT_EQ(float_to_bf16(1.01171875F), 0x3F82);  // halfway between 0x3F81 and 0x3F82: to even
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_EQ(bf16_to_float(0xC000), -2.0F);
}

// Every upper half, with lower ones that round down, up and neither.
TEST(SplitFloat, JoinsAgainAndRoundsToNearest) {
  for (std::uint32_t upper = 0; upper <= 0xFFFF; ++upper) {
    for (const std::uint32_t low : {0x0000U, 0x0001U, 0x7FFFU, 0x8000U, 0x8001U, 0xFFFFU}) {
      const std::uint32_t bits = upper << 16U | low;
      const auto value = std::bit_cast<float>(bits);
      const SplitFloat halves = split_float(bits);
      if (std::isnan(value)) {
        EXPECT_TRUE(std::isnan(std::bit_cast<float>(join_float(halves))) && std::isnan(bf16_to_float(halves.high)));
        continue;
      }
      ASSERT_EQ(join_float(halves), bits);
      const auto away_from_zero = static_cast<std::uint16_t>(upper + (low >= 0x8000U ? 1 : 0));
      ASSERT_EQ(halves.high, low == 0x8000U ? away_from_zero : float_to_bf16(value)) << bits;
    }
  }
}

TEST(Units, ReadsAndWritesAmountsOfMemory) {
  EXPECT_EQ(parse_bytes("80GiB"), 80LL << 30);
  EXPECT_EQ(parse_bytes("1.5 MB"), 1500000);
  EXPECT_EQ(parse_bytes("17"), 17);
  EXPECT_THROW(parse_bytes("80 gibs"), UserError);
  EXPECT_THROW(parse_bytes("-1"), UserError);
  EXPECT_THROW(parse_bytes("1e40GB"), UserError);
  EXPECT_THROW(parse_bytes(""), UserError);
  EXPECT_EQ(format_bytes(71.3 * (1LL << 30)), "71.3 GiB");
  EXPECT_EQ(format_bytes(512), "512 B");
}

TEST(Units, WritesDurationsAndCounts) {
  EXPECT_EQ(format_duration(3723), "1:02:03");
  EXPECT_EQ(format_duration(59.6), "1:00");
  EXPECT_EQ(format_count(1234567), "1,234,567");
  EXPECT_EQ(format_count(-123), "-123");
  EXPECT_EQ(format_count(1000), "1,000");
}

// Known answers of Random123's kat_vectors for philox4x32-10.
TEST(Philox, GivesTheKnownAnswers) {
  const Philox4 zeros = philox(0, 0, 0);
  EXPECT_EQ(zeros.value[0], 0x6627E8D5U);
  const Philox4 ones = philox(~0ULL, ~0ULL, ~0ULL);
  EXPECT_EQ(ones.value[0], 0x408F276DU);
  EXPECT_EQ(ones.value[1], 0x41C83B0EU);
  EXPECT_EQ(ones.value[2], 0xA20BC7C6U);
  EXPECT_EQ(ones.value[3], 0x6D5451FDU);
  const Philox4 pi = philox(0x299F31D0A4093822ULL, 0x85A308D3243F6A88ULL, 0x0370734413198A2EULL);
  EXPECT_EQ(pi.value[0], 0xD16CFE09U);
  EXPECT_EQ(pi.value[1], 0x94FDCCEBU);
  EXPECT_EQ(pi.value[2], 0x5001E420U);
  EXPECT_EQ(pi.value[3], 0x24126EA1U);
}

int closed = 0;
void count_close(int /*handle*/) noexcept { ++closed; }

TEST(Handle, ClosesOnceAndMoves) {
  closed = 0;
  {
    Handle<int, count_close> first(7);
    Handle<int, count_close> second(std::move(first));
    EXPECT_EQ(second.get(), 7);
    first = Handle<int, count_close>(8);
    EXPECT_TRUE(first);
    first.reset();
    EXPECT_EQ(closed, 1);
  }
  EXPECT_EQ(closed, 2);
}

TEST(Errors, CarryTheModule) {
  try {
    fail<UserError>("data", "label {} out of range", 11);
    FAIL();
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(), "[data] label 11 out of range");
  }
  EXPECT_NO_THROW(require(true, "core", "never shown"));
  EXPECT_THROW(require(false, "core", "shown"), Error);
}

TEST(Suggestions, CountEdits) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("lr", "rl"), 1U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("same", "same"), 0U);
  const std::vector<std::string> known{"batch_size", "blr", "lr", "layer_decay"};
  EXPECT_EQ(nearest("bacth_size", known), "batch_size");
  EXPECT_EQ(nearest("layer", known), "layer_decay");
  EXPECT_EQ(nearest("colour", known), "");
  EXPECT_EQ(list_of({"a", "b", "c"}), "a, b or c");
  EXPECT_EQ(list_of({"a", "b"}, "and"), "a and b");
  EXPECT_EQ(list_of({"a"}), "a");
}

TEST(StopSignals, AreRememberedUntilTheSecondTerm) {
  {
    const StopSignals signals(/*speaks=*/false);
    EXPECT_EQ(signals.received(), 0);
    ASSERT_EQ(std::raise(SIGUSR1), 0);
    ASSERT_EQ(std::raise(SIGUSR1), 0);
    EXPECT_EQ(signals.received(), SIGUSR1);
    ASSERT_EQ(std::raise(SIGTERM), 0);
    ASSERT_EQ(std::raise(SIGTERM), 0) << "the same one, passed on by two ways";
    EXPECT_EQ(signals.received(), SIGTERM);
  }
  const auto two_terms = [] {
    const StopSignals signals(/*speaks=*/true);
    std::raise(SIGTERM);
    ::usleep(1'100'000);
    std::raise(SIGTERM);
    std::_Exit(0);
  };
  EXPECT_EXIT(two_terms(), testing::ExitedWithCode(1), "a second SIGTERM: ended at once");
}

}  // namespace
}  // namespace tessera::core
