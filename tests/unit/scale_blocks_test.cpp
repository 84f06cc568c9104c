// Numbers in 8 bits: what the codes stand for, and that blocks of them come back as they were.
#include "tessera/core/scale_blocks.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <vector>

namespace tessera::core {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kMost = std::numeric_limits<float>::max();

float share_of(bool is_signed, int code) {
  const auto byte = static_cast<std::uint8_t>(code);
  return is_signed ? DynamicMap<true>::share_of(byte) : DynamicMap<false>::share_of(byte);
}

int encode(bool is_signed, float share) {
  return is_signed ? DynamicMap<true>::encode(share) : DynamicMap<false>::encode(share);
}

// bitsandbytes' create_dynamic_map(signed, max_exponent_bits=7, total_bits=8): means of neighbours of linspace(0.1, 1).
std::multiset<double> published_map(bool is_signed) {
  std::multiset<double> values{0, 1};
  for (int decade = 0; decade < 7; ++decade) {
    const int count = (is_signed ? 1 : 2) << decade;
    for (int k = 0; k < count; ++k) {
      const double low = 0.1 + 0.9 * k / count;
      const double high = 0.1 + 0.9 * (k + 1) / count;
      const double value = std::pow(10, decade - 6) * (low + high) / 2;
      values.insert(value);
      if (is_signed) {
        values.insert(-value);
      }
    }
  }
  return values;
}

struct Coded {
  std::vector<std::uint8_t> codes;
  std::vector<float> scales;

  Coded(const std::vector<float>& values, bool is_signed)
      : codes(values.size()), scales(static_cast<std::size_t>(num_scale_blocks(std::ssize(values)))) {
    encode_blocks(values.data(), is_signed, std::ssize(values), codes.data(), scales.data());
  }
  [[nodiscard]] std::vector<float> decoded(bool is_signed) const {
    std::vector<float> values(codes.size());
    decode_blocks(codes.data(), scales.data(), is_signed, std::ssize(codes), values.data());
    return values;
  }
};

// Numbers of a block: normal ones, or ones whose logarithms are uniform, so that all codes occur.
std::vector<float> random_numbers(std::int64_t count, bool is_signed, bool spreads, float scale, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> decades(-9, 0);
  std::vector<float> numbers(static_cast<std::size_t>(count));
  for (float& number : numbers) {
    const float sign = generator() % 2 == 0 ? 1 : -1;
    number = scale * (spreads ? sign * std::pow(10.0F, decades(generator)) : normal(generator));
    number = is_signed ? number : std::abs(number);
  }
  return numbers;
}

class ScaleBlocks : public testing::TestWithParam<bool> {};

TEST_P(ScaleBlocks, HaveThePublishedMap) {
  const std::multiset<double> published = published_map(GetParam());
  std::multiset<double> ours;
  for (int code = 0; code < 256; ++code) {
    ours.insert(share_of(GetParam(), code));
    EXPECT_EQ(encode(GetParam(), share_of(GetParam(), code)), code);
  }
  ASSERT_EQ(published.size(), 256U);
  for (auto a = ours.begin(), b = published.begin(); b != published.end(); ++a, ++b) {
    EXPECT_NEAR(*a, *b, 4 * 0x1p-24 * std::abs(*b)) << "four units of fp32";
  }
  EXPECT_EQ(share_of(GetParam(), 0), 0);
  EXPECT_EQ(*ours.rbegin(), 1);
}

TEST_P(ScaleBlocks, TakeTheNearestCode) {
  const std::vector<float> shares = random_numbers(200'000, GetParam(), true, 1, 1);
  for (const float share : shares) {
    double least = 2;
    for (int code = GetParam() ? 0 : 1; code < 256; ++code) {  // second moments do not become 0
      least = std::min(least, std::abs(static_cast<double>(share_of(GetParam(), code)) - share));
    }
    const double error = std::abs(static_cast<double>(share_of(GetParam(), encode(GetParam(), share))) - share);
    ASSERT_LE(error, least + 1e-6 * std::abs(share)) << share << ": but for what fp32 rounds at the middle";
  }
}

TEST_P(ScaleBlocks, ComeBackAsTheSameCodes) {
  for (const float scale : {1.0F, 3e-5F, 1e-29F, 1e-31F, 1e-38F, 1e-44F, 1e30F}) {
    for (const bool spreads : {false, true}) {
      for (const std::int64_t count : {1, 63, 64, 65, 6400, 6401}) {
        const std::vector<float> numbers = random_numbers(count, GetParam(), spreads, scale, 7);
        const Coded once(numbers, GetParam());
        const std::vector<float> decoded = once.decoded(GetParam());
        const Coded twice(decoded, GetParam());
        EXPECT_EQ(twice.codes, once.codes) << scale << " " << count;
        EXPECT_EQ(twice.scales, once.scales) << scale << " " << count;
        EXPECT_EQ(twice.decoded(GetParam()), decoded) << scale << " " << count;
      }
    }
  }
}

TEST_P(ScaleBlocks, KeepTheGreatestExactly) {
  std::vector<float> numbers = random_numbers(6400, GetParam(), false, 0.1F, 3);
  const std::vector<float> decoded = Coded(numbers, GetParam()).decoded(GetParam());
  for (std::size_t block = 0; block < 100; ++block) {
    std::size_t greatest = block * 64;
    for (std::size_t i = greatest; i < block * 64 + 64; ++i) {
      greatest = std::abs(numbers[i]) > std::abs(numbers[greatest]) ? i : greatest;
    }
    EXPECT_EQ(decoded[greatest], numbers[greatest]);
  }
}

TEST_P(ScaleBlocks, AreNotNumbersWhereOneIsNot) {
  for (const float bad : {kNaN, kInfinity, -kInfinity}) {
    std::vector<float> numbers(192, 0.5F);
    numbers[70] = bad;
    const Coded coded(numbers, GetParam());
    const std::vector<float> decoded = coded.decoded(GetParam());
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      EXPECT_EQ(std::isnan(decoded[i]), i / 64 == 1) << i;
    }
    const Coded again(decoded, GetParam());
    EXPECT_EQ(again.codes, coded.codes);
    EXPECT_TRUE(std::isnan(again.scales[1]));
  }
}

TEST_P(ScaleBlocks, OfTinyNumbersAreZeros) {
  const float least = std::ldexp(1.0F, -100);
  for (const float size : {0.0F, std::numeric_limits<float>::denorm_min(), std::nextafter(least, 0.0F)}) {
    const Coded coded(std::vector<float>(64, size), GetParam());
    EXPECT_EQ(std::bit_cast<std::uint32_t>(coded.scales[0]), 0U);
    EXPECT_EQ(coded.codes, std::vector<std::uint8_t>(64));
  }
  EXPECT_EQ(Coded({least}, GetParam()).decoded(GetParam()).at(0), least);
  EXPECT_EQ(Coded({kMost, kMost / 2}, GetParam()).decoded(GetParam()).at(0), kMost);
}

INSTANTIATE_TEST_SUITE_P(EitherMap, ScaleBlocks, testing::Values(true, false),
                         [](const testing::TestParamInfo<bool>& tried) { return tried.param ? "Signed" : "Unsigned"; });

// The scale has the sign of the greatest, since there is no code for -1.
TEST(SignedScaleBlocks, HaveAScaleOfTheSameSign) {
  EXPECT_EQ(Coded({-2.0F, 1.0F}, true).scales.at(0), -2);
  EXPECT_EQ(Coded({-2.0F, 1.0F}, true).codes.at(0), 128);
  const Coded equals({-2.0F, 2.0F, -2.0F}, true);
  EXPECT_EQ(equals.scales.at(0), 2);
  EXPECT_EQ(equals.decoded(true), (std::vector<float>{-2 * 0.9929688F, 2, -2 * 0.9929688F}));
}

// They are divided by.
TEST(UnsignedScaleBlocks, DoNotMakeZeroOfLittle) {
  const Coded coded({1.0F, 1e-20F, 0.0F, 1e-8F}, false);
  EXPECT_EQ(coded.codes, (std::vector<std::uint8_t>{255, 1, 0, 1}));
}

}  // namespace
}  // namespace tessera::core
