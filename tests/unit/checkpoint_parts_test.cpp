#include "checkpoint/child_process.hpp"
#include "checkpoint/flat_range.hpp"
#include "checkpoint/manifest.hpp"
#include "checkpoint/run_state_fields.hpp"
#include "support/sample_state.hpp"
#include "support/scratch.hpp"
#include "tessera/checkpoint/run_state_json.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/philox.hpp"
#include "tessera/io/crc32c.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <unistd.h>

namespace tessera::checkpoint {
namespace {

using test::message_of;

// docs/checkpoint_format.md is what another program is written by.
TEST(RunStateFields, AreAllInTheDescriptionOfTheFormat) {
  const std::string page = test::read_file(TESSERA_TEST_DATA "/../../docs/checkpoint_format.md");
  const state::RunState run;
  visit_run_state(run, [&](const char* name, const auto& /*field*/) {
    EXPECT_NE(page.find(std::string("`") + name + "`"), std::string::npos) << name;
  });
}

// Known answers of RFC 3720, B.4.
TEST(Crc32c, GivesTheKnownAnswers) {
  EXPECT_EQ(io::crc32c("123456789", 9), 0xE3069283U);
  const std::string zeros(32, '\0');
  EXPECT_EQ(io::crc32c(zeros.data(), zeros.size()), 0x8A9136AAU);
  const std::string ones(32, '\xFF');
  EXPECT_EQ(io::crc32c(ones.data(), ones.size()), 0x62A8AB43U);
  EXPECT_EQ(io::crc32c("", 0), 0U);
  EXPECT_EQ(io::crc32c("6789", 4, io::crc32c("12345", 5)), 0xE3069283U);
  EXPECT_EQ(io::crc32c_text(0xABU), "000000ab");
}

// Elements of a slab, counted row-major over the whole tensor, in order.
std::vector<std::int64_t> elements_of(const Slab& slab, const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> elements;
  const std::int64_t total = std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  for (std::int64_t element = 0; element < total; ++element) {
    std::int64_t rest = element;
    bool inside = true;
    for (std::size_t d = shape.size(); d-- > 0;) {
      const std::int64_t index = rest % shape[d];
      rest /= shape[d];
      inside = inside && slab.start[d] <= index && index < slab.start[d] + slab.count[d];
    }
    if (inside) {
      elements.push_back(element);
    }
  }
  return elements;
}

TEST(FlatRange, CoversEveryRangeOfEveryShapeInOrder) {
  const std::vector<std::vector<std::int64_t>> shapes{{1},    {7},       {3, 4},       {1, 5},
                                                      {5, 1}, {2, 3, 4}, {3, 1, 2, 2}, {2, 2, 2, 2}};
  for (const auto& shape : shapes) {
    const std::int64_t total = count_elements(shape);
    for (std::int64_t begin = 0; begin < total; ++begin) {
      for (std::int64_t end = begin + 1; end <= total; ++end) {
        const auto slabs = slabs_of_range(shape, begin, end);
        EXPECT_LE(slabs.size(), 2 * shape.size() - 1);
        std::vector<std::int64_t> covered;
        for (const Slab& slab : slabs) {
          const auto elements = elements_of(slab, shape);
          EXPECT_EQ(static_cast<std::int64_t>(elements.size()), slab.num_elements());
          covered.insert(covered.end(), elements.begin(), elements.end());
        }
        std::vector<std::int64_t> expected(static_cast<std::size_t>(end - begin));
        std::iota(expected.begin(), expected.end(), begin);
        ASSERT_EQ(covered, expected) << "from " << begin << " to " << end;
      }
    }
  }
}

TEST(FlatRange, TakesWholeRowsAtOnce) {
  EXPECT_EQ(slabs_of_range({1000, 1000, 10}, 0, 10000000).size(), 1U);
  EXPECT_EQ(slabs_of_range({1000, 1000, 10}, 20000, 40000).size(), 1U);
  EXPECT_EQ(slabs_of_range({1000, 1000, 10}, 1, 10000000 - 1).size(), 5U);
}

TEST(FlatRange, RefusesShapesThatNoTensorHas) {
  EXPECT_THROW(count_elements({3, 0}), core::Error);
  EXPECT_THROW(count_elements({-1}), core::Error);
  EXPECT_THROW(count_elements({1LL << 32U, 1LL << 32U}), core::Error);
}

bool same(const state::RunState& left, const state::RunState& right) { return to_json(left) == to_json(right); }

TEST(RunStateJson, ComesBackBitForBit) {
  const state::RunState run = test::sample_run(17);
  const state::RunState back = run_state_from_json(to_json(run), "text");
  EXPECT_TRUE(same(run, back));
  EXPECT_EQ(back.seed, 0xFEDCBA9876543210ULL);
  EXPECT_EQ(back.best_accuracy, 1.0 / 3.0);
  EXPECT_EQ(back.peak_lr, 0.1);
  EXPECT_EQ(back.world_size, 4);
  EXPECT_EQ(back.model_config_json, run.model_config_json);
}

TEST(RunStateJson, NamesWhatIsMissingOrWrong) {
  std::string text = to_json(test::sample_run(17));
  text.replace(text.find("\"epoch\""), 7, "\"epochs\"");
  text.replace(text.find("\"world_size\":4"), 14, "\"world_size\":5000000000");
  text.replace(text.find("\"dataset\":\""), 11, "\"dataset\":5,\"x\":\"");
  const auto message = message_of<core::UserError>([&] { (void)run_state_from_json(text, "manifest.json"); });
  EXPECT_EQ(message,
            "[checkpoint] manifest.json: the state of the run is not complete: 'epoch' is missing, "
            "'world_size' is 5000000000, 'dataset' is 5");
  EXPECT_THROW((void)run_state_from_json("[]", "x"), core::UserError);
  state::RunState run = test::sample_run(17);
  run.best_accuracy = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW((void)to_json(run), core::Error);
}

Manifest sample_manifest() {
  Manifest manifest;
  manifest.created = "2026-01-31T12:00:00Z";
  manifest.run = test::sample_run(17);
  manifest.state_bytes = 4096;
  manifest.structure_crc32c = 0x1234ABCDU;
  manifest.tensors.push_back({{"a.weight", state::Component::kWeight, core::DType::kBFloat16, {2, 5}},
                              1000,
                              {{0, 3, 1}, {3, 10, 0xFFFFFFFFU}}});
  manifest.tensors.push_back(
      {{"a.weight", state::Component::kMaster, core::DType::kFloat32, {2, 5}}, 2000, {{0, 10, 7}}});
  return manifest;
}

TEST(Manifest, ComesBack) {
  const std::string text = to_text(sample_manifest());
  const Manifest back = parse_manifest(text, "manifest.json");
  EXPECT_EQ(to_text(back), text);
  ASSERT_EQ(back.tensors.size(), 2U);
  EXPECT_EQ(back.tensors[0].ranges[1].crc32c, 0xFFFFFFFFU);
  EXPECT_EQ(back.tensors[0].name(), "a.weight/weight");
  EXPECT_EQ(back.tensors[1].num_bytes(), 40);
}

TEST(Manifest, NoticesEveryChangedBitAndEveryCut) {
  const std::string text = to_text(sample_manifest());
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = text;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      ASSERT_THROW((void)parse_manifest(damaged, "manifest.json"), core::UserError) << "byte " << i;
    }
    ASSERT_THROW((void)parse_manifest(text.substr(0, i), "manifest.json"), core::UserError) << "cut at " << i;
  }
}

constexpr std::size_t kChecksumBegin = 21;  // after {"manifest_crc32c": "
constexpr std::size_t kChecksumEnd = kChecksumBegin + 8;

// The same text with its checksum made right again, as somebody who edits a manifest could.
std::string with_checksum(std::string text) {
  text.replace(kChecksumBegin, 8, "00000000");
  return text.replace(kChecksumBegin, 8, io::crc32c_text(io::crc32c(text.data(), text.size())));
}

std::string edited(const std::string& from, const std::string& to) {
  std::string text = to_text(sample_manifest());
  text.replace(text.find(from), from.size(), to);
  return message_of<core::UserError>([&] { (void)parse_manifest(with_checksum(text), "manifest.json"); });
}

TEST(Manifest, RefusesContentsThatNoCheckpointHas) {
  EXPECT_EQ(
      edited("\"format_version\": 4", "\"format_version\": 5"),
      "[checkpoint] manifest.json is of format version 5, written by a newer program; this one reads up to version 4");
  EXPECT_NE(edited("tessera-checkpoint", "other").find("of the format 'other'"), std::string::npos);
  EXPECT_NE(edited("\"shape\":[2,5]", "\"shape\":[2,-5]").find("'shape' is not a count"), std::string::npos);
  EXPECT_NE(edited("\"shape\":[2,5]", "\"shape\":[2,6]").find("of which the ranges cover 10"), std::string::npos);
  EXPECT_NE(edited("[3,10,", "[4,10,").find("where one from 3 was due"), std::string::npos);
  EXPECT_NE(edited("[3,10,", "[3,11,").find("where one from 3 was due"), std::string::npos);
  EXPECT_NE(edited("ffffffff", "FFFFFFFF").find("hexadecimal"), std::string::npos);
  EXPECT_NE(edited("\"offset\":1000", "\"offset\":4090").find("does not lie inside"), std::string::npos);
  EXPECT_NE(edited("\"dtype\":\"bf16\"", "\"dtype\":\"fp16\"").find("'fp16' is no component or type"),
            std::string::npos);
  EXPECT_NE(edited("\"tensors\"", "\"tensor\"").find("'tensors' is missing"), std::string::npos);
}

// What passes the checksum is parsed: with random contents that must be refused or read, and never crash.
TEST(Manifest, SurvivesDamageUnderAGoodChecksum) {
  const std::string text = to_text(sample_manifest());
  int refused = 0;
  constexpr std::uint64_t kRounds = 5000;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    std::string damaged = text;
    const core::Philox4 random = core::philox(5, round, 0);
    damaged[kChecksumEnd + random.value[0] % (damaged.size() - kChecksumEnd)] =
        static_cast<char>(random.value[1] & 0x7FU);
    damaged[kChecksumEnd + random.value[2] % (damaged.size() - kChecksumEnd)] =
        static_cast<char>(random.value[3] & 0x7FU);
    try {
      (void)parse_manifest(with_checksum(damaged), "manifest.json");
    } catch (const core::UserError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, static_cast<int>(kRounds) / 2);
}

// What the fuzzer starts from, and what it once found.
TEST(Manifest, SurvivesTheFuzzersCorpus) {
  int refused = 0;
  int read = 0;
  for (const auto& entry : std::filesystem::directory_iterator(TESSERA_TEST_DATA "/fuzz/manifest")) {
    try {
      (void)parse_manifest(with_checksum(test::read_file(entry.path().string())), "manifest.json");
      ++read;
    } catch (const core::UserError&) {
      ++refused;
    }
  }
  EXPECT_GE(read, 1);
  EXPECT_GE(refused, 2);
}

TEST(RunInChild, GivesTextAndErrors) {
  const std::string long_text(200000, 'x');
  EXPECT_EQ(run_in_child("work", [&] { return long_text; }), long_text);
  EXPECT_THROW(run_in_child("work", []() -> std::string { throw core::UserError("bad input"); }), core::UserError);
  EXPECT_THROW(run_in_child("work", []() -> std::string { throw std::runtime_error("other"); }), core::Error);
}

TEST(RunInChild, OutlivesCrashAndEndlessWork) {
  const auto message = [](const std::function<std::string()>& work) {
    return message_of<core::UserError>([&] { (void)run_in_child("reading it", work, 1); });
  };
  EXPECT_THAT(message([]() -> std::string { std::abort(); }), testing::HasSubstr("reading it, crashed (signal 6)"));
  EXPECT_THAT(message([]() -> std::string {
                for (;;) {
                  ::pause();
                }
              }),
              testing::HasSubstr("took more than 1 s"));
}

}  // namespace
}  // namespace tessera::checkpoint
