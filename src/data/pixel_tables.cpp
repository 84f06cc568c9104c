#include "data/pixel_tables.hpp"

#include "data/pixel_blends.hpp"

#include <algorithm>
#include <array>
#include <ranges>

namespace tessera::data {

namespace {

constexpr std::size_t kChannels = 3;
using Table = std::array<std::uint8_t, 256>;
using Histogram = std::array<std::int64_t, 256>;

template <class Make>
Table make_table(Make make) {
  Table table{};
  for (std::int32_t byte = 0; byte < 256; ++byte) {
    table[static_cast<std::size_t>(byte)] = static_cast<std::uint8_t>(make(byte));
  }
  return table;
}

void look_up(std::uint8_t* plane, std::size_t size, const Table& table) {
  for (std::size_t i = 0; i < size; ++i) {
    plane[i] = table[plane[i]];
  }
}

void look_up(const Picture& picture, const Table& table) {
  look_up(picture.pixels, kChannels * picture.plane_bytes(), table);
}

Histogram histogram_of(const std::uint8_t* plane, std::size_t size) {
  // Neighbours are often equal: four counters a byte, so that none waits for the one before.
  std::array<std::array<std::uint32_t, 256>, 4> counts{};
  for (std::size_t i = 0; i < size; ++i) {
    ++counts[i % 4][plane[i]];
  }
  Histogram histogram{};
  for (std::size_t byte = 0; byte < histogram.size(); ++byte) {
    histogram[byte] = std::int64_t{counts[0][byte]} + counts[1][byte] + counts[2][byte] + counts[3][byte];
  }
  return histogram;
}

Table stretched(const Histogram& histogram) {
  const auto is_there = [](std::int64_t count) { return count > 0; };
  const auto reversed = std::views::reverse(histogram);
  const auto lowest = std::ranges::find_if(histogram, is_there) - histogram.begin();
  const auto highest = reversed.end() - std::ranges::find_if(reversed, is_there) - 1;
  if (highest <= lowest) {
    return make_table([](std::int32_t byte) { return byte; });
  }
  const double scale = 255.0 / static_cast<double>(highest - lowest);
  const double offset = -static_cast<double>(lowest) * scale;
  return make_table(
      [&](std::int32_t byte) { return std::clamp(static_cast<std::int32_t>(byte * scale + offset), 0, 255); });
}

Table evened(const Histogram& histogram) {
  std::int64_t total = 0;
  std::int64_t last = 0;
  for (const std::int64_t count : histogram) {
    total += count;
    last = count > 0 ? count : last;
  }
  const std::int64_t step = (total - last) / 255;
  if (step == 0) {
    return make_table([](std::int32_t byte) { return byte; });
  }
  std::int64_t sum = step / 2;
  return make_table([&](std::int32_t byte) {
    const std::int64_t value = sum / step;
    sum += histogram[static_cast<std::size_t>(byte)];
    return std::min<std::int64_t>(value, 255);
  });
}

}  // namespace

void auto_contrast(const Picture& picture) {
  for (std::size_t channel = 0; channel < kChannels; ++channel) {
    std::uint8_t* const plane = picture.plane(channel);
    look_up(plane, picture.plane_bytes(), stretched(histogram_of(plane, picture.plane_bytes())));
  }
}

void equalize(const Picture& picture) {
  for (std::size_t channel = 0; channel < kChannels; ++channel) {
    std::uint8_t* const plane = picture.plane(channel);
    look_up(plane, picture.plane_bytes(), evened(histogram_of(plane, picture.plane_bytes())));
  }
}

void posterize(const Picture& picture, std::int32_t bits) {
  const std::int32_t dropped = (1 << (8 - std::clamp(bits, 0, 8))) - 1;
  look_up(picture, make_table([&](std::int32_t byte) { return byte & ~dropped; }));
}

void solarize(const Picture& picture, std::int32_t threshold) {
  look_up(picture, make_table([&](std::int32_t byte) { return byte < threshold ? byte : 255 - byte; }));
}

void solarize_add(const Picture& picture, std::int32_t added) {
  constexpr std::int32_t kThreshold = 128;
  look_up(picture,
          make_table([&](std::int32_t byte) { return byte < kThreshold ? std::min(255, byte + added) : byte; }));
}

void change_brightness(const Picture& picture, float factor) {
  look_up(picture, make_table([&](std::int32_t byte) { return blend(0, static_cast<std::uint8_t>(byte), factor); }));
}

void change_contrast(const Picture& picture, float factor) {
  const std::size_t size = picture.plane_bytes();
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < size; ++i) {
    sum += grey_of(picture.pixels[i], picture.pixels[size + i], picture.pixels[2 * size + i]);
  }
  const auto mean = static_cast<std::uint8_t>(static_cast<double>(sum) / static_cast<double>(size) + 0.5);
  look_up(picture, make_table([&](std::int32_t byte) { return blend(mean, static_cast<std::uint8_t>(byte), factor); }));
}

}  // namespace tessera::data
