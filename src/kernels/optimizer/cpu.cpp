#include "kernels/optimizer/arguments.hpp"
#include "kernels/optimizer/loops.hpp"
#include "tessera/kernels/optimizer.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

// All tensors are flat ranges of the same length.

namespace tessera::kernels::cpu {
namespace {

constexpr std::int64_t kGrain = 1 << 15;  // elements: enough work for a thread to be worth waking

const std::uint16_t* bf16_bits(const at::Tensor& tensor) {
  return reinterpret_cast<const std::uint16_t*>(tensor.const_data_ptr<at::BFloat16>());
}

template <class T>
double chunked_sum_of_squares(const T* values, std::int64_t size) {
  const std::int64_t num_chunks = (size + kGrain - 1) / kGrain;
  std::vector<double> sums(static_cast<std::size_t>(num_chunks));
  at::parallel_for(0, num_chunks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t chunk = begin; chunk < end; ++chunk) {
      const std::int64_t first = chunk * kGrain;
      sums[static_cast<std::size_t>(chunk)] = optimizer::sum_of_squares(values + first, std::min(kGrain, size - first));
    }
  });
  double total = 0;
  for (const double sum : sums) {
    total += sum;
  }
  return total;
}

}  // namespace

void adamw_step(const AdamWState& state, const AdamWParams& params) {
  optimizer::check_adamw(state, params);
  const optimizer::AdamWConstants constants = optimizer::constants_of(params);
  const bool has_master = state.master.defined();
  const bool is_bf16_gradient = state.gradient.scalar_type() == at::kBFloat16;
  auto* const weight =
      has_master ? reinterpret_cast<std::uint16_t*>(state.weight.mutable_data_ptr<at::BFloat16>()) : nullptr;
  auto* const master = (has_master ? state.master : state.weight).mutable_data_ptr<float>();
  auto* const exp_avg = state.exp_avg.mutable_data_ptr<float>();
  auto* const exp_avg_sq = state.exp_avg_sq.mutable_data_ptr<float>();
  at::parallel_for(0, state.weight.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    const optimizer::AdamWRange range{has_master ? weight + begin : nullptr, master + begin, exp_avg + begin,
                                      exp_avg_sq + begin, end - begin};
    if (is_bf16_gradient) {
      optimizer::adamw_range(range, bf16_bits(state.gradient) + begin, constants);
    } else {
      optimizer::adamw_range(range, state.gradient.const_data_ptr<float>() + begin, constants);
    }
  });
}

void add_sum_of_squares(const at::Tensor& flat, at::Tensor& total) {
  optimizer::check_sum_of_squares(flat, total);
  const double sum = flat.scalar_type() == at::kBFloat16
                         ? chunked_sum_of_squares(bf16_bits(flat), flat.numel())
                         : chunked_sum_of_squares(flat.const_data_ptr<float>(), flat.numel());
  *total.mutable_data_ptr<double>() += sum;
}

}  // namespace tessera::kernels::cpu
