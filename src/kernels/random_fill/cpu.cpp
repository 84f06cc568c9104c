#include "kernels/random_fill/arguments.hpp"
#include "tessera/kernels/random_fill.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>

namespace tessera::kernels::cpu {
namespace {

template <class T>
T finish(const random_fill::Affine& affine, double draw) {
  const auto value = static_cast<T>(random_fill::scaled(affine, draw));
  return static_cast<double>(static_cast<float>(value)) < affine.limit ? value : static_cast<T>(affine.below_limit);
}

/// One counter makes four elements of the whole tensor, of which a piece may hold the last or the first few only.
template <class Distribution, class T>
void fill(T* flat, std::int64_t size, const RandomStream& stream, const random_fill::Affine& affine) {
  const std::int64_t first = stream.first_element;
  const std::int64_t last = first + size;
  constexpr std::int64_t kGrain = 1024;
  at::parallel_for(first / 4, (last + 3) / 4, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t counter = begin; counter < end; ++counter) {
      const random_fill::Draws draws = Distribution::draw(stream.key, counter);
      const std::int64_t from = std::max(first, 4 * counter);
      const std::int64_t to = std::min(last, 4 * counter + 4);
      for (std::int64_t element = from; element < to; ++element) {
        flat[element - first] = finish<T>(affine, draws.value[element - 4 * counter]);
      }
    }
  });
}

template <class Distribution>
void fill(at::Tensor& flat, const RandomStream& stream, const random_fill::Affine& affine) {
  random_fill::check(flat, stream);
  if (flat.numel() == 0) {
    return;
  }
  if (flat.scalar_type() == at::kFloat) {
    fill<Distribution>(flat.mutable_data_ptr<float>(), flat.numel(), stream, affine);
  } else {
    fill<Distribution>(flat.mutable_data_ptr<at::BFloat16>(), flat.numel(), stream, affine);
  }
}

}  // namespace

void fill_normal(at::Tensor& flat, const RandomStream& stream, double mean, double std) {
  fill<random_fill::Normal>(flat, stream, random_fill::normal_affine(mean, std));
}

void fill_uniform(at::Tensor& flat, const RandomStream& stream, double low, double high) {
  fill<random_fill::Uniform>(flat, stream, random_fill::uniform_affine(low, high, flat.scalar_type()));
}

}  // namespace tessera::kernels::cpu
