// Painting, erasing and mixing against what timm, torchvision and Pillow did: see make_augment_fixtures.py.
#include "data/mixing.hpp"
#include "data/painter.hpp"
#include "data/random_erasing.hpp"
#include "support/counts.hpp"
#include "support/pictures.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include <array>
#include <cmath>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace tessera::data {
namespace {

using test::Counts;

const std::string kData = TESSERA_TEST_DATA "/augment/";
constexpr Color kFill{125, 123, 114};  // of CIFAR's mean
const Recipe kRecipe{.mean = {0.4914F, 0.4822F, 0.4465F}, .std = {1, 1, 1}};

unsigned long crc_after(const std::vector<PixelStep>& steps, const std::string& kind, std::uint32_t side) {
  std::vector<std::uint8_t> pixels = test::made_up_picture(kind, side);
  Scratch scratch;
  for (const PixelStep& step : steps) {
    apply(step, {pixels.data(), static_cast<std::int32_t>(side)}, kFill, scratch);
  }
  return crc32(0, pixels.data(), static_cast<unsigned>(pixels.size()));
}

TEST(PixelOps, GivePillowsBytes) {
  std::ifstream lines(kData + "ops.txt");
  std::string name;
  std::string magnitude;
  std::string kind;
  double argument = 0;
  std::uint32_t side = 0;
  unsigned long crc = 0;
  int num_cases = 0;
  while (lines >> name >> magnitude >> argument >> kind >> side >> crc) {
    EXPECT_EQ(crc_after({{op_named(name).op, argument}}, kind, side), crc)
        << name << " " << magnitude << " (" << argument << ") of " << kind << " " << side;
    ++num_cases;
  }
  EXPECT_EQ(num_cases, 642);
}

TEST(PixelOps, GetTimmsArguments) {
  std::ifstream lines(kData + "ops.txt");
  std::string name;
  double magnitude = 0;
  double argument = 0;
  std::string kind;
  std::int32_t side = 0;
  unsigned long crc = 0;
  while (lines >> name >> magnitude >> argument >> kind >> side >> crc) {
    bool found = false;  // with one sign or the other
    for (std::uint64_t i = 0; i < 64 && !found; ++i) {
      RandomSequence sequence(RandomStream(1, "test"), i, 0);
      found = step_of(op_named(name), magnitude, side, sequence).argument == argument;
    }
    EXPECT_TRUE(found) << name << " " << magnitude << " of " << side << " pixels: " << argument;
  }
}

TEST(ColorJitter, GivesTorchvisionsBytes) {
  std::ifstream lines(kData + "jitter.txt");
  std::string kind;
  std::uint32_t side = 0;
  int num_cases = 0;
  while (lines >> kind >> side) {
    std::vector<PixelStep> steps;
    for (int i = 0; i < 3; ++i) {
      std::string name;
      double factor = 0;
      lines >> name >> factor;
      steps.push_back({op_named(name).op, factor});
    }
    unsigned long crc = 0;
    lines >> crc;
    EXPECT_EQ(crc_after(steps, kind, side), crc) << kind << " " << side;
    ++num_cases;
  }
  EXPECT_EQ(num_cases, 4);
}

TEST(ColorJitter, DrawsEveryOrderAndFactorAlike) {
  const Painter painter({.color_jitter = 0.4}, kRecipe, 32);
  constexpr std::int64_t kDraws = 12000;
  std::map<std::array<PixelOp, 3>, int> orders;
  std::map<PixelOp, Counts> factors;
  for (std::int64_t i = 0; i < kDraws; ++i) {
    const auto steps = painter.draw({.seed = 5, .epoch = i % 3, .index = i});
    ASSERT_EQ(steps.size(), 3U);
    ++orders[{steps[0].op, steps[1].op, steps[2].op}];
    for (const PixelStep& step : steps) {
      ASSERT_TRUE(step.argument >= 0.6 && step.argument < 1.4) << step.argument;
      Counts& counts = factors.try_emplace(step.op, 8).first->second;
      ++counts[static_cast<std::size_t>((step.argument - 0.6) / 0.1)];
    }
  }
  EXPECT_EQ(orders.size(), 6U);
  for (const auto& [order, count] : orders) {
    EXPECT_NEAR(count, kDraws / 6, 5 * std::sqrt(kDraws / 6));
  }
  EXPECT_EQ(factors.size(), 3U);
  for (const auto& [op, counts] : factors) {
    EXPECT_LT(test::kolmogorov_smirnov(counts, Counts(8, kDraws / 8)), 2.4 / std::sqrt(kDraws));
  }
  const auto beyond = Painter({.color_jitter = 3}, kRecipe, 32).draw({.seed = 5, .epoch = 0, .index = 1});
  EXPECT_TRUE(beyond[0].argument >= 0 && beyond[0].argument < 4);
}

/// One op's line of choices.txt.
struct Expected {
  double low = 0;
  double high = 0;
  Counts histogram;
};

void expect_choices(const std::string& config, std::int64_t num_draws, const Counts& layers,
                    const std::map<PixelOp, Expected>& expected) {
  const Painter painter({.auto_augment = config::parse_auto_augment(config)}, kRecipe, 100);
  Counts drawn_layers(layers.size());
  std::map<PixelOp, Counts> drawn;
  for (const auto& [op, entry] : expected) {
    drawn[op].resize(entry.histogram.size());
  }
  for (std::int64_t i = 0; i < num_draws; ++i) {
    const auto steps = painter.draw({.seed = 6, .epoch = i % 5, .index = i});
    ++drawn_layers.at(steps.size());
    for (const PixelStep& step : steps) {
      const auto found = expected.find(step.op);
      ASSERT_NE(found, expected.end()) << static_cast<int>(step.op);
      const auto bins = static_cast<double>(found->second.histogram.size());
      const double share = (step.argument - found->second.low) / (found->second.high - found->second.low);
      ++drawn[step.op][static_cast<std::size_t>(std::clamp(share * bins, 0.0, bins - 1))];
    }
  }
  EXPECT_LT(test::kolmogorov_smirnov(drawn_layers, layers), test::kolmogorov_smirnov_bound(drawn_layers, layers));
  for (const auto& [op, entry] : expected) {
    SCOPED_TRACE(static_cast<int>(op));
    const double before = test::total_of(entry.histogram);
    EXPECT_NEAR(test::total_of(drawn[op]), before, 5 * std::sqrt(2 * before));
    EXPECT_LT(test::kolmogorov_smirnov(drawn[op], entry.histogram),
              test::kolmogorov_smirnov_bound(drawn[op], entry.histogram));
  }
}

TEST(Painter, ChoosesAsTimmDoes) {
  std::ifstream file(kData + "choices.txt");
  std::string config;
  std::int64_t num_draws = 0;
  int num_ops = 0;
  int num_configs = 0;
  while (file >> config >> num_draws >> num_ops) {
    SCOPED_TRACE(config);
    file.ignore();
    const Counts layers = test::read_counts(file);
    std::map<PixelOp, Expected> expected;
    for (int i = 0; i < num_ops; ++i) {
      std::string name;
      Expected entry;
      file >> name >> entry.low >> entry.high;
      entry.histogram = test::read_counts(file);
      expected[op_named(name).op] = entry;
    }
    expect_choices(config, num_draws, layers, expected);
    ++num_configs;
  }
  EXPECT_EQ(num_configs, 11);
}

TEST(Painter, DependsOnSeedEpochAndImageAlone) {
  const Painter painter({.auto_augment = config::parse_auto_augment("rand-m9-n9-mstd0.5")}, kRecipe, 32);
  const auto same = [&](const SampleKey& a, const SampleKey& b) {
    const auto x = painter.draw(a);
    const auto y = painter.draw(b);
    return std::ranges::equal(x, y, [](const PixelStep& one, const PixelStep& other) {
      return one.op == other.op && one.argument == other.argument;
    });
  };
  EXPECT_TRUE(same({1, 2, 3}, {1, 2, 3}));
  EXPECT_FALSE(same({1, 2, 3}, {2, 2, 3}));
  EXPECT_FALSE(same({1, 2, 3}, {1, 3, 3}));
  EXPECT_FALSE(same({1, 2, 3}, {1, 2, 4}));
}

TEST(Painter, BringsInTheMeanColour) {
  // Moved by 45 % either way: what comes in has the colour of the mean, as timm's img_mean.
  const Painter painter({.auto_augment = config::parse_auto_augment("rand-m10-n1-p1")}, kRecipe, 20);
  Scratch scratch;
  for (std::int64_t index = 0;; ++index) {
    const SampleKey key{.seed = 9, .epoch = 0, .index = index};
    const auto steps = painter.draw(key);
    if (steps.at(0).op != PixelOp::kTranslateX) {
      continue;
    }
    std::vector<std::uint8_t> pixels = test::made_up_picture("flat", 20);
    const Picture picture{pixels.data(), 20};
    painter.paint(picture, key, scratch);
    const std::size_t outer = steps[0].argument > 0 ? 19 : 0;
    EXPECT_EQ((Color{picture.plane(0)[outer], picture.plane(1)[outer], picture.plane(2)[outer]}), kFill);
    break;
  }
}

TEST(RandomErasing, IsDistributedAsTimms) {
  std::ifstream file(kData + "erasing.txt");
  std::int32_t side = 0;
  config::AugmentConfig augment;
  std::int64_t num_draws = 0;
  int num_cases = 0;
  while (file >> side >> augment.reprob >> augment.recount >> num_draws) {
    SCOPED_TRACE(side);
    file.ignore();
    std::vector<Counts> expected;
    std::vector<Counts> drawn;
    for (int i = 0; i < 5; ++i) {
      expected.push_back(test::read_counts(file));
      drawn.emplace_back(expected.back().size());
    }
    for (std::int64_t i = 0; i < num_draws; ++i) {
      std::vector<kernels::ErasedBox> boxes;
      append_erased_boxes(augment, side, 3, {.seed = 1, .epoch = i % 7, .index = i}, boxes);
      ++drawn[0].at(boxes.size());
      for (const kernels::ErasedBox& box : boxes) {
        ASSERT_TRUE(box.image == 3 && box.is_noise == 1 && box.top >= 0 && box.left >= 0 && box.height > 0 &&
                    box.width > 0 && box.top + box.height <= side && box.left + box.width <= side);
        ++drawn[1].at(static_cast<std::size_t>(box.top));
        ++drawn[2].at(static_cast<std::size_t>(box.left));
        ++drawn[3].at(static_cast<std::size_t>(box.height));
        ++drawn[4].at(static_cast<std::size_t>(box.width));
      }
    }
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_LT(test::kolmogorov_smirnov(drawn[i], expected[i]), test::kolmogorov_smirnov_bound(drawn[i], expected[i]))
          << "count, top, left, height, width: " << i;
    }
    ++num_cases;
  }
  EXPECT_EQ(num_cases, 3);
}

TEST(RandomErasing, HasTheColourThatItsModeSays) {
  std::vector<kernels::ErasedBox> zeros;
  std::vector<kernels::ErasedBox> colors;
  for (std::int64_t i = 0; i < 4000; ++i) {
    const SampleKey key{.seed = 1, .epoch = 0, .index = i};
    append_erased_boxes({.reprob = 1, .remode = config::EraseMode::kConst}, 32, 0, key, zeros);
    append_erased_boxes({.reprob = 1, .remode = config::EraseMode::kRand}, 32, 0, key, colors);
  }
  ASSERT_EQ(zeros.size(), colors.size());
  double sum = 0;
  double squares = 0;
  for (std::size_t i = 0; i < zeros.size(); ++i) {
    EXPECT_TRUE(zeros[i].is_noise == 0 && zeros[i].color[0] == 0 && zeros[i].color[1] == 0 && zeros[i].color[2] == 0);
    EXPECT_TRUE(colors[i].is_noise == 0 && colors[i].color[0] != colors[i].color[1]);
    for (const float value : colors[i].color) {
      sum += value;
      squares += value * value;
    }
  }
  const double count = 3.0 * static_cast<double>(colors.size());
  EXPECT_NEAR(sum / count, 0, 4 / std::sqrt(count));
  EXPECT_NEAR(squares / count, 1, 4 * std::sqrt(2 / count));
}

TEST(Mixing, IsDistributedAsTimms) {
  std::ifstream file(kData + "mixing.txt");
  config::AugmentConfig augment;
  config::ShareRange range;
  std::int32_t side = 0;
  std::int64_t num_draws = 0;
  double num_cuts = 0;
  int num_cases = 0;
  while (file >> augment.mixup >> augment.cutmix >> range.min >> range.max >> augment.mixup_prob >>
         augment.mixup_switch_prob >> side >> num_draws >> num_cuts) {
    SCOPED_TRACE(testing::Message() << augment.mixup << " " << augment.cutmix << " " << range.min);
    augment.cutmix_minmax = range.max > 0 ? std::optional(range) : std::nullopt;
    file.ignore();
    std::vector<Counts> expected;
    std::vector<Counts> drawn;
    for (int i = 0; i < 5; ++i) {
      expected.push_back(test::read_counts(file));
      drawn.emplace_back(expected.back().size());
    }
    double cuts = 0;
    for (std::int64_t i = 0; i < num_draws; ++i) {
      const BatchMix mix = draw_mix(augment, 2, side, {.seed = 1, .epoch = i % 7, .number = i});
      const kernels::ImageMix& image = mix.images.at(0);
      const float share = mix.shares.at(0);
      ++drawn[0].at(static_cast<std::size_t>(share * static_cast<float>(drawn[0].size()) * (1 - 1e-6F)));
      if (image.height > 0 && image.width > 0) {
        ++cuts;
        ++drawn[1].at(static_cast<std::size_t>(image.top));
        ++drawn[2].at(static_cast<std::size_t>(image.left));
        ++drawn[3].at(static_cast<std::size_t>(image.height));
        ++drawn[4].at(static_cast<std::size_t>(image.width));
        EXPECT_TRUE(image.own == 1 && image.other == 0);
      } else {
        EXPECT_NEAR(image.own + image.other, 1, 1e-6);
        EXPECT_EQ(image.own, share);
      }
    }
    EXPECT_NEAR(cuts, num_cuts, 5 * std::sqrt(2 * num_cuts));
    for (std::size_t i = 0; i < (num_cuts > 0 ? 5 : 1); ++i) {
      EXPECT_LT(test::kolmogorov_smirnov(drawn[i], expected[i]), test::kolmogorov_smirnov_bound(drawn[i], expected[i]))
          << "lambda, top, left, height, width: " << i;
    }
    ++num_cases;
  }
  EXPECT_EQ(num_cases, 8);
}

TEST(Mixing, DrawsForTheBatchThePairOrTheImage) {
  config::AugmentConfig augment{.mixup = 1};
  const auto shares = [&](config::MixMode mode, const BatchKey& key) {
    augment.mixup_mode = mode;
    return draw_mix(augment, 6, 32, key).shares;
  };
  const std::vector<float> batch = shares(config::MixMode::kBatch, {1, 2, 3});
  EXPECT_EQ(batch, std::vector<float>(6, batch[0]));
  const std::vector<float> pair = shares(config::MixMode::kPair, {1, 2, 3});
  EXPECT_EQ(pair, std::vector<float>(pair.rbegin(), pair.rend()));
  EXPECT_NE(pair[0], pair[1]);
  const std::vector<float> elem = shares(config::MixMode::kElem, {1, 2, 3});
  EXPECT_NE(elem[0], elem[5]);
  EXPECT_NE(elem, shares(config::MixMode::kElem, {2, 2, 3}));
  EXPECT_NE(elem, shares(config::MixMode::kElem, {1, 3, 3}));
  EXPECT_NE(elem, shares(config::MixMode::kElem, {1, 2, 4}));
  EXPECT_EQ(elem, shares(config::MixMode::kElem, {1, 2, 3}));
}

TEST(Mixing, DrawsFromTheBetaDistribution) {
  // Its distribution functions for 1/2, 1 and 2, and what becomes of it where alpha is next to nothing.
  const auto distribution = [](double alpha, double x) {
    return alpha == 1 ? x : alpha == 2 ? x * x * (3 - 2 * x) : 2 / 3.14159265358979 * std::asin(std::sqrt(x));
  };
  constexpr int kDraws = 20000;
  for (const double alpha : {0.5, 1.0, 2.0}) {
    std::vector<double> values;
    for (std::uint64_t i = 0; i < kDraws; ++i) {
      RandomSequence sequence(RandomStream(1, "beta"), i, 0);
      values.push_back(draw_beta(alpha, sequence));
    }
    std::ranges::sort(values);
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(distribution(alpha, values[i]), static_cast<double>(i) / kDraws, 2.4 / std::sqrt(kDraws)) << alpha;
    }
  }
  int ones = 0;
  int zeros = 0;
  for (std::uint64_t i = 0; i < kDraws; ++i) {
    RandomSequence sequence(RandomStream(1, "beta"), i, 0);
    const double value = draw_beta(1e-5, sequence);
    ASSERT_TRUE(value >= 0 && value <= 1) << value;
    ones += value > 1 - 1e-9 ? 1 : 0;
    zeros += value < 1e-9 ? 1 : 0;
  }
  EXPECT_GT(ones + zeros, 0.99 * kDraws);
  EXPECT_NEAR(ones, kDraws / 2, 2 * std::sqrt(kDraws));
}

}  // namespace
}  // namespace tessera::data
