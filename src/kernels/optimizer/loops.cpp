#include "kernels/optimizer/loops.hpp"

#include "kernels/optimizer/average_element.hpp"
#include "tessera/core/dtype.hpp"
#include "tessera/core/vector_clones.hpp"

#include <array>
#include <bit>
#include <cmath>

// Compiled with -ffp-contract=off (src/CMakeLists.txt), so that products stay rounded.

namespace tessera::kernels::optimizer {
namespace {

[[gnu::always_inline]] inline float to_float(float value) { return value; }

[[gnu::always_inline]] inline float to_float(std::uint16_t bits) { return core::bf16_to_float(bits); }

// The fp32 parameters of a range, joined and split as they are read and written.
class WholeParameter {
 public:
  [[gnu::always_inline]] explicit WholeParameter(const ParameterPointers& pointers) : values_(pointers.whole) {}
  [[gnu::always_inline]] float get(std::int64_t i) const { return values_[i]; }
  [[gnu::always_inline]] void set(std::int64_t i, float value) const { values_[i] = value; }

 private:
  float* __restrict values_;
};

class SplitParameter {
 public:
  [[gnu::always_inline]] explicit SplitParameter(const ParameterPointers& pointers)
      : high_(pointers.high), low_(pointers.low) {}
  [[gnu::always_inline]] float get(std::int64_t i) const {
    return std::bit_cast<float>(core::join_float({high_[i], low_[i]}));
  }
  [[gnu::always_inline]] void set(std::int64_t i, float value) const {
    const core::SplitFloat halves = core::split_float(std::bit_cast<std::uint32_t>(value));
    high_[i] = halves.high;
    low_[i] = halves.low;
  }

 private:
  std::uint16_t* __restrict high_;
  std::uint16_t* __restrict low_;
};

// A moment's elements. What needs no random bits leaves them unused, and they are not computed.
class WholeMoment {
 public:
  [[gnu::always_inline]] explicit WholeMoment(const MomentPointers& pointers)
      : values_(static_cast<float*>(pointers.values)) {}
  [[gnu::always_inline]] float get(std::int64_t i) const { return values_[i]; }
  [[gnu::always_inline]] void set(std::int64_t i, float value, std::uint32_t /*random*/) const { values_[i] = value; }

 private:
  float* __restrict values_;
};

class HalfMoment {
 public:
  [[gnu::always_inline]] explicit HalfMoment(const MomentPointers& pointers)
      : values_(static_cast<std::uint16_t*>(pointers.values)) {}
  [[gnu::always_inline]] float get(std::int64_t i) const { return core::bf16_to_float(values_[i]); }
  [[gnu::always_inline]] void set(std::int64_t i, float value, std::uint32_t random) const {
    values_[i] = round_stochastically(std::bit_cast<std::uint32_t>(value), random);
  }

 private:
  std::uint16_t* __restrict values_;
};

template <class Parameter, class Moment, class Gradient>
[[gnu::always_inline]] inline void update(const AdamWRange& range, const Gradient* gradient,
                                          const AdamWConstants& constants) {
  const Parameter parameter(range.parameter);
  const Moment exp_avg(range.exp_avg);
  const Moment exp_avg_sq(range.exp_avg_sq);
  const Gradient* __restrict source = gradient;
  const AdamWConstants c = constants;
  const RoundingBits bits = range.bits;
  for (std::int64_t i = 0; i < range.size; ++i) {
    const AdamWElement e = adamw_update({parameter.get(i), exp_avg.get(i), exp_avg_sq.get(i)}, to_float(source[i]), c);
    const std::uint32_t random = bits.of(static_cast<std::uint32_t>(i));
    parameter.set(i, e.parameter);
    exp_avg.set(i, e.exp_avg, random & 0xFFFFU);
    exp_avg_sq.set(i, e.exp_avg_sq, random >> 16U);
  }
}

template <class Parameter, class Moment, class Gradient>
[[gnu::always_inline]] inline void update(const MomentumRange& range, const Gradient* gradient,
                                          const MomentumConstants& constants) {
  const Parameter parameter(range.parameter);
  const Moment buffer(range.buffer);
  const Gradient* __restrict source = gradient;
  const MomentumConstants c = constants;
  const RoundingBits bits = range.bits;
  for (std::int64_t i = 0; i < range.size; ++i) {
    const MomentumElement e = momentum_update({parameter.get(i), buffer.get(i)}, to_float(source[i]), c);
    parameter.set(i, e.parameter);
    buffer.set(i, e.buffer, bits.of(static_cast<std::uint32_t>(i)) & 0xFFFFU);
  }
}

// A block of a moment that is kept as codes, widened for a step.
template <bool kSigned>
class BlockMoment {
 public:
  [[gnu::always_inline]] BlockMoment(const MomentPointers& pointers, std::int64_t size)
      : codes_(static_cast<std::uint8_t*>(pointers.values)), scale_(pointers.scales) {
    core::decode_block<kSigned>(codes_, *scale_, size, values_.data());
  }
  [[gnu::always_inline]] MomentPointers wide() { return {values_.data(), core::DType::kFloat32}; }
  [[gnu::always_inline]] void store(std::int64_t size) const {
    *scale_ = core::encode_block<kSigned>(values_.data(), size, codes_);
  }

 private:
  std::uint8_t* __restrict codes_;
  float* scale_;
  alignas(64) std::array<float, core::kScaleBlock> values_;
};

template <class Parameter, class Gradient>
[[gnu::always_inline]] inline void update_block(const AdamWRange& range, std::int64_t first, std::int64_t size,
                                                const Gradient* gradient, const AdamWConstants& constants) {
  BlockMoment<true> exp_avg(range.exp_avg.from(first), size);
  BlockMoment<false> exp_avg_sq(range.exp_avg_sq.from(first), size);
  const AdamWRange wide{range.parameter.from(first), exp_avg.wide(), exp_avg_sq.wide(), range.bits, size};
  update<Parameter, WholeMoment>(wide, gradient + first, constants);
  exp_avg.store(size);
  exp_avg_sq.store(size);
}

template <class Parameter, class Gradient>
[[gnu::always_inline]] inline void update_block(const MomentumRange& range, std::int64_t first, std::int64_t size,
                                                const Gradient* gradient, const MomentumConstants& constants) {
  BlockMoment<true> buffer(range.buffer.from(first), size);
  const MomentumRange wide{range.parameter.from(first), buffer.wide(), range.bits, size};
  update<Parameter, WholeMoment>(wide, gradient + first, constants);
  buffer.store(size);
}

// Whole blocks have loops of known length.
template <class Parameter, class Range, class Gradient, class Constants>
[[gnu::always_inline]] inline void update_blocks(const Range& range, const Gradient* gradient,
                                                 const Constants& constants) {
  std::int64_t first = 0;
  for (; first + core::kScaleBlock <= range.size; first += core::kScaleBlock) {
    update_block<Parameter>(range, first, core::kScaleBlock, gradient, constants);
  }
  if (first < range.size) {
    update_block<Parameter>(range, first, range.size - first, gradient, constants);
  }
}

const MomentPointers& moment_of(const AdamWRange& range) { return range.exp_avg; }
const MomentPointers& moment_of(const MomentumRange& range) { return range.buffer; }

template <class Parameter, class Range, class Gradient, class Constants>
[[gnu::always_inline]] inline void update_parameter(const Range& range, const Gradient* gradient,
                                                    const Constants& constants) {
  if (moment_of(range).is_coded()) {
    update_blocks<Parameter>(range, gradient, constants);
  } else if (moment_of(range).dtype == core::DType::kFloat32) {
    update<Parameter, WholeMoment>(range, gradient, constants);
  } else {
    update<Parameter, HalfMoment>(range, gradient, constants);
  }
}

template <class Range, class Gradient, class Constants>
[[gnu::always_inline]] inline void update_range(const Range& range, const Gradient* gradient,
                                                const Constants& constants) {
  if (range.parameter.is_split()) {
    update_parameter<SplitParameter>(range, gradient, constants);
  } else {
    update_parameter<WholeParameter>(range, gradient, constants);
  }
}

template <class Parameter>
[[gnu::always_inline]] inline void update_average(const Parameter& parameter, float* average, float share,
                                                  std::int64_t size) {
  float* __restrict values = average;
  for (std::int64_t i = 0; i < size; ++i) {
    values[i] = updated_average(values[i], parameter.get(i), share);
  }
}

// Each of the products is summed as sum() below does.
template <class Parameter, class Gradient>
[[gnu::always_inline]] inline TrustSums products(const Parameter& parameter, const Gradient* gradient,
                                                 std::int64_t size) {
  constexpr std::int64_t kLanes = 16;
  std::array<double, kLanes> squares{};
  std::array<double, kLanes> mixed{};
  std::array<double, kLanes> gradients{};
  const auto add = [&](std::int64_t i, std::size_t lane) {
    const double p = parameter.get(i);
    const double g = to_float(gradient[i]);
    squares[lane] += p * p;
    mixed[lane] += p * g;
    gradients[lane] += g * g;
  };
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      add(i + lane, static_cast<std::size_t>(lane));
    }
  }
  for (; i < size; ++i) {
    add(i, 0);
  }
  TrustSums sums{};
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    sums[0] += squares[lane];
    sums[1] += mixed[lane];
    sums[2] += gradients[lane];
  }
  return sums;
}

template <class Gradient>
[[gnu::always_inline]] inline TrustSums products_of(const ParameterPointers& parameter, const Gradient* gradient,
                                                    std::int64_t size) {
  return parameter.is_split() ? products(SplitParameter(parameter), gradient, size)
                              : products(WholeParameter(parameter), gradient, size);
}

template <class T>
[[gnu::always_inline]] inline void add_to(float* destination, const T* source, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) {
    destination[i] += to_float(source[i]);
  }
}

template <class T>
[[gnu::always_inline]] inline double sum(const T* values, std::int64_t size) {
  constexpr std::int64_t kLanes = 16;
  std::array<double, kLanes> lanes{};
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      const double value = to_float(values[i + lane]);
      lanes[static_cast<std::size_t>(lane)] += value * value;
    }
  }
  double total = 0;
  for (; i < size; ++i) {
    const double value = to_float(values[i]);
    total += value * value;
  }
  for (const double lane : lanes) {
    total += lane;
  }
  return total;
}

}  // namespace

TESSERA_VECTOR_CLONES void adamw_range(const AdamWRange& range, const float* gradient,
                                       const AdamWConstants& constants) {
  update_range(range, gradient, constants);
}

TESSERA_VECTOR_CLONES void adamw_range(const AdamWRange& range, const std::uint16_t* gradient,
                                       const AdamWConstants& constants) {
  update_range(range, gradient, constants);
}

TESSERA_VECTOR_CLONES void momentum_range(const MomentumRange& range, const float* gradient,
                                          const MomentumConstants& constants) {
  update_range(range, gradient, constants);
}

TESSERA_VECTOR_CLONES void momentum_range(const MomentumRange& range, const std::uint16_t* gradient,
                                          const MomentumConstants& constants) {
  update_range(range, gradient, constants);
}

TESSERA_VECTOR_CLONES void average_range(const ParameterPointers& parameter, float* average, float share,
                                         std::int64_t size) {
  if (parameter.is_split()) {
    update_average(SplitParameter(parameter), average, share, size);
  } else {
    update_average(WholeParameter(parameter), average, share, size);
  }
}

TESSERA_VECTOR_CLONES TrustSums trust_sums(const ParameterPointers& parameter, const float* gradient,
                                           std::int64_t size) {
  return products_of(parameter, gradient, size);
}

TESSERA_VECTOR_CLONES TrustSums trust_sums(const ParameterPointers& parameter, const std::uint16_t* gradient,
                                           std::int64_t size) {
  return products_of(parameter, gradient, size);
}

TESSERA_VECTOR_CLONES void accumulate_range(float* destination, const float* source, std::int64_t size) {
  add_to(destination, source, size);
}

TESSERA_VECTOR_CLONES void accumulate_range(float* destination, const std::uint16_t* source, std::int64_t size) {
  add_to(destination, source, size);
}

TESSERA_VECTOR_CLONES double sum_of_squares(const float* values, std::int64_t size) { return sum(values, size); }

TESSERA_VECTOR_CLONES double sum_of_squares(const std::uint16_t* values, std::int64_t size) {
  return sum(values, size);
}

}  // namespace tessera::kernels::optimizer
