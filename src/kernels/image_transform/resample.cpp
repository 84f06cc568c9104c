#include "kernels/image_transform/resample.hpp"

#include "tessera/core/vector_clones.hpp"

#include <algorithm>

// The horizontal pass reads neighbouring columns for each output pixel, which no vector unit likes. So it works on
// strips of kLanes rows, transposed: then a lane is a row, and every tap is one load, multiply and add for all of them.
// In the vertical pass a lane is a column, as the data lie.

namespace tessera::kernels::image_transform {

namespace {

constexpr std::int32_t kLanes = 16;    // rows of a strip
constexpr std::int32_t kColumns = 32;  // columns of a step of the vertical pass

/// filtered[column][lane] from strip[source column][lane], the strip starting at source column `origin`.
TESSERA_VECTOR_CLONES void filter_strip(const std::uint8_t* strip, std::int32_t origin, const Taps* taps,
                                        const std::int32_t* weights, std::int32_t weight_stride,
                                        std::int32_t num_columns, std::uint8_t* filtered) {
  for (std::int32_t column = 0; column < num_columns; ++column) {
    const std::uint8_t* source = strip + static_cast<std::int64_t>(taps[column].first - origin) * kLanes;
    const std::int32_t* weight = weights + static_cast<std::int64_t>(column) * weight_stride;
    std::int32_t sums[kLanes];
    for (std::int32_t& sum : sums) {
      sum = kHalf;
    }
    for (std::int32_t tap = 0; tap < taps[column].count; ++tap) {
      for (std::int32_t lane = 0; lane < kLanes; ++lane) {
        sums[lane] += weight[tap] * source[tap * kLanes + lane];
      }
    }
    for (std::int32_t lane = 0; lane < kLanes; ++lane) {
      filtered[column * kLanes + lane] = static_cast<std::uint8_t>(to_byte(sums[lane]));
    }
  }
}

/// One output row from `count` rows that lie `stride` bytes apart, a multiple of kColumns.
TESSERA_VECTOR_CLONES void filter_rows(const std::uint8_t* source, std::int64_t stride, const std::int32_t* weights,
                                       std::int32_t count, std::uint8_t* line) {
  for (std::int64_t x = 0; x < stride; x += kColumns) {
    std::int32_t sums[kColumns];
    for (std::int32_t& sum : sums) {
      sum = kHalf;
    }
    for (std::int32_t tap = 0; tap < count; ++tap) {
      const std::uint8_t* row = source + tap * stride + x;
      for (std::int32_t lane = 0; lane < kColumns; ++lane) {
        sums[lane] += weights[tap] * row[lane];
      }
    }
    for (std::int32_t lane = 0; lane < kColumns; ++lane) {
      line[x + lane] = static_cast<std::uint8_t>(to_byte(sums[lane]));
    }
  }
}

/// Where the bytes of a view lie.
struct Layout {
  std::int64_t row;
  std::int64_t pixel;
  std::int64_t channel;
};

Layout layout_of(const ImageView& view) {
  if (view.planar != 0) {
    return {view.width, 1, static_cast<std::int64_t>(view.height) * view.width};
  }
  return {static_cast<std::int64_t>(view.width) * view.channels, view.channels, 1};
}

}  // namespace

void TapTable::assign(const Axis& axis, std::int32_t begin, std::int32_t count) {
  identity = axis.in_size == axis.out_size;
  stride = axis.max_taps();
  taps.resize(static_cast<std::size_t>(count));
  weights.resize(static_cast<std::size_t>(count) * static_cast<std::size_t>(stride));
  for (std::int32_t i = 0; i < count; ++i) {
    taps[static_cast<std::size_t>(i)] = make_taps(axis, begin + i, &weights[static_cast<std::size_t>(i * stride)]);
  }
}

Resampler::Resampler(std::int32_t output_size)
    : output_size_(output_size), middle_stride_((output_size + kColumns - 1) / kColumns * kColumns) {
  line_.resize(static_cast<std::size_t>(middle_stride_));
}

void Resampler::begin(const std::uint8_t* packed, const ImageView& view) {
  flip_ = view.flip != 0;
  columns_.assign(make_axis(view.crop_width, view.resized_width), view.window_left, output_size_);
  rows_.assign(make_axis(view.crop_height, view.resized_height), view.window_top, output_size_);

  const std::int32_t num_rows = rows_.last() - rows_.first();
  plane_stride_ = num_rows * middle_stride_;
  middle_.resize(static_cast<std::size_t>(plane_stride_ * view.channels));

  const Layout layout = layout_of(view);
  const std::uint8_t* image = packed + view.offset + (view.crop_top + rows_.first()) * layout.row +
                              (view.crop_left + columns_.first()) * layout.pixel;
  if (columns_.identity) {
    copy_rows(image, view);
    return;
  }
  for (std::int32_t row = 0; row < num_rows; row += kLanes) {
    resample_strip(image, view, row, std::min(kLanes, num_rows - row));
  }
}

const std::uint8_t* Resampler::row(std::int32_t channel, std::int32_t y) {
  const Taps& taps = rows_.taps[static_cast<std::size_t>(y)];
  const std::uint8_t* source = middle_.data() + channel * plane_stride_ + (taps.first - rows_.first()) * middle_stride_;
  if (rows_.identity) {
    return source;
  }
  filter_rows(source, middle_stride_, &rows_.weights[static_cast<std::size_t>(y * rows_.stride)], taps.count,
              line_.data());
  return line_.data();
}

void Resampler::copy_rows(const std::uint8_t* image, const ImageView& view) {
  const Layout layout = layout_of(view);
  const std::int32_t num_rows = rows_.last() - rows_.first();
  for (std::int32_t channel = 0; channel < view.channels; ++channel) {
    for (std::int32_t row = 0; row < num_rows; ++row) {
      const std::uint8_t* source = image + channel * layout.channel + row * layout.row;
      std::uint8_t* target = middle_.data() + channel * plane_stride_ + row * middle_stride_;
      for (std::int32_t column = 0; column < output_size_; ++column) {
        target[flip_ ? output_size_ - 1 - column : column] = source[column * layout.pixel];
      }
    }
  }
}

void Resampler::resample_strip(const std::uint8_t* image, const ImageView& view, std::int32_t first_row,
                               std::int32_t num_rows) {
  const Layout layout = layout_of(view);
  const std::int32_t num_source_columns = columns_.last() - columns_.first();
  strip_.resize(static_cast<std::size_t>(num_source_columns) * kLanes);
  filtered_.resize(static_cast<std::size_t>(output_size_) * kLanes);

  for (std::int32_t channel = 0; channel < view.channels; ++channel) {
    const std::uint8_t* source = image + channel * layout.channel + first_row * layout.row;
    for (std::int32_t column = 0; column < num_source_columns; ++column) {
      for (std::int32_t lane = 0; lane < num_rows; ++lane) {
        strip_[static_cast<std::size_t>(column * kLanes + lane)] = source[column * layout.pixel + lane * layout.row];
      }
    }
    filter_strip(strip_.data(), columns_.first(), columns_.taps.data(), columns_.weights.data(), columns_.stride,
                 output_size_, filtered_.data());
    std::uint8_t* target = middle_.data() + channel * plane_stride_ + first_row * middle_stride_;
    for (std::int32_t column = 0; column < output_size_; ++column) {
      const std::int32_t target_column = flip_ ? output_size_ - 1 - column : column;
      for (std::int32_t lane = 0; lane < num_rows; ++lane) {
        target[lane * middle_stride_ + target_column] = filtered_[static_cast<std::size_t>(column * kLanes + lane)];
      }
    }
  }
}

}  // namespace tessera::kernels::image_transform
