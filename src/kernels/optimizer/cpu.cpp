#include "kernels/optimizer/arguments.hpp"
#include "kernels/optimizer/loops.hpp"
#include "tessera/kernels/optimizer.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <vector>

// All tensors are flat ranges of the same length.

namespace tessera::kernels::cpu {
namespace {

constexpr std::int64_t kGrain = 1 << 15;  // elements: enough work for a thread to be worth waking

// Calls work(begin, end) for parts of a range that begin with blocks of codes.
template <class Work>
void in_parts(std::int64_t size, const Work& work) {
  at::parallel_for(0, core::num_scale_blocks(size), kGrain / core::kScaleBlock,
                   [&](std::int64_t begin, std::int64_t end) {
                     work(begin * core::kScaleBlock, std::min(end * core::kScaleBlock, size));
                   });
}

const std::uint16_t* bf16_bits(const at::Tensor& tensor) {
  return reinterpret_cast<const std::uint16_t*>(tensor.const_data_ptr<at::BFloat16>());
}

// What `sum_range(first, size)` gives for each chunk, added up in order, whatever thread made it.
template <std::size_t kCount, class SumRange>
std::array<double, kCount> sum_chunks(std::int64_t size, const SumRange& sum_range) {
  const std::int64_t num_chunks = (size + kGrain - 1) / kGrain;
  std::vector<std::array<double, kCount>> sums(static_cast<std::size_t>(num_chunks));
  at::parallel_for(0, num_chunks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t chunk = begin; chunk < end; ++chunk) {
      const std::int64_t first = chunk * kGrain;
      sums[static_cast<std::size_t>(chunk)] = sum_range(first, std::min(kGrain, size - first));
    }
  });
  std::array<double, kCount> totals{};
  for (const auto& chunk : sums) {
    for (std::size_t i = 0; i < kCount; ++i) {
      totals[i] += chunk[i];
    }
  }
  return totals;
}

template <class T>
double chunked_sum_of_squares(const T* values, std::int64_t size) {
  const auto sum_range = [values](std::int64_t first, std::int64_t count) {
    return std::array{optimizer::sum_of_squares(values + first, count)};
  };
  return sum_chunks<1>(size, sum_range)[0];
}

template <class T>
optimizer::TrustSums chunked_trust_sums(const optimizer::ParameterPointers& parameter, const T* gradient,
                                        std::int64_t size) {
  return sum_chunks<3>(size, [=](std::int64_t first, std::int64_t count) {
    return optimizer::trust_sums(parameter.from(first), gradient + first, count);
  });
}

// Calls `work` with a pointer to the elements of `flat`.
template <class Work>
void with_elements(const at::Tensor& flat, const Work& work) {
  if (flat.scalar_type() == at::kBFloat16) {
    work(bf16_bits(flat));
  } else {
    work(flat.const_data_ptr<float>());
  }
}

}  // namespace

void adamw_step(const AdamWState& state, const AdamWParams& params) {
  optimizer::check_adamw(state, params);
  const optimizer::AdamWConstants constants = optimizer::constants_of(params);
  const optimizer::ParameterPointers parameter = optimizer::pointers_of(state.parameter);
  const optimizer::MomentPointers exp_avg = optimizer::pointers_of(state.exp_avg);
  const optimizer::MomentPointers exp_avg_sq = optimizer::pointers_of(state.exp_avg_sq);
  with_elements(state.gradient, [&](const auto* gradient) {
    in_parts(state.gradient.numel(), [&](std::int64_t begin, std::int64_t end) {
      optimizer::adamw_range({parameter.from(begin), exp_avg.from(begin), exp_avg_sq.from(begin),
                              optimizer::rounding_bits(params.step, state.first_element + begin), end - begin},
                             gradient + begin, constants);
    });
  });
}

void momentum_step(const MomentumState& state, const MomentumParams& params) {
  optimizer::check_momentum(state, params);
  const optimizer::MomentumConstants constants = optimizer::constants_of(params);
  const optimizer::ParameterPointers parameter = optimizer::pointers_of(state.parameter);
  const optimizer::MomentPointers buffer = optimizer::pointers_of(state.momentum_buffer);
  with_elements(state.gradient, [&](const auto* gradient) {
    in_parts(state.gradient.numel(), [&](std::int64_t begin, std::int64_t end) {
      optimizer::momentum_range({parameter.from(begin), buffer.from(begin),
                                 optimizer::rounding_bits(params.step, state.first_element + begin), end - begin},
                                gradient + begin, constants);
    });
  });
}

void update_average(const Parameter& parameter, const at::Tensor& average, double decay) {
  optimizer::check_average(parameter, average);
  const optimizer::ParameterPointers pointers = optimizer::pointers_of(parameter);
  auto* const values = average.mutable_data_ptr<float>();
  const auto share = static_cast<float>(1 - decay);
  at::parallel_for(0, average.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    optimizer::average_range(pointers.from(begin), values + begin, share, end - begin);
  });
}

void add_trust_sums(const Parameter& parameter, const at::Tensor& gradient, at::Tensor& sums) {
  optimizer::check_trust_sums(parameter, gradient, sums);
  with_elements(gradient, [&](const auto* values) {
    const optimizer::TrustSums more = chunked_trust_sums(optimizer::pointers_of(parameter), values, gradient.numel());
    for (std::size_t i = 0; i < more.size(); ++i) {
      sums.mutable_data_ptr<double>()[i] += more[i];
    }
  });
}

void add_sum_of_squares(const at::Tensor& flat, at::Tensor& total) {
  optimizer::check_sum_of_squares(flat, total);
  with_elements(flat, [&](const auto* values) {
    *total.mutable_data_ptr<double>() += chunked_sum_of_squares(values, flat.numel());
  });
}

void accumulate(at::Tensor& destination, const at::Tensor& source) {
  optimizer::check_accumulate(destination, source);
  auto* const into = destination.mutable_data_ptr<float>();
  with_elements(source, [&](const auto* values) {
    at::parallel_for(0, source.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      optimizer::accumulate_range(into + begin, values + begin, end - begin);
    });
  });
}

}  // namespace tessera::kernels::cpu
