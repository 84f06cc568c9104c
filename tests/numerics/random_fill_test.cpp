// Random fills: the formula, its independence of how a tensor is cut, its distribution, and CPU against CUDA.
#include "support/kernel_test.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/philox.hpp"

#include <cmath>
#include <tuple>

namespace tessera::kernels {
namespace {

using test::exact;

constexpr double kPi = 3.14159265358979323846;

class RandomFill : public test::KernelTest {
 protected:
  [[nodiscard]] at::Tensor empty(std::int64_t size, at::ScalarType type = at::kFloat) const {
    return at::full({size}, std::nan(""), at::TensorOptions().dtype(type).device(device()));
  }
  [[nodiscard]] at::Tensor normal(std::int64_t size, const RandomStream& stream, at::ScalarType type = at::kFloat,
                                  double mean = 0, double std = 1) const {
    at::Tensor flat = empty(size, type);
    ops().fill_normal(flat, stream, mean, std);
    return flat;
  }
  [[nodiscard]] at::Tensor uniform(std::int64_t size, const RandomStream& stream, double low, double high,
                                   at::ScalarType type = at::kFloat) const {
    at::Tensor flat = empty(size, type);
    ops().fill_uniform(flat, stream, low, high);
    return flat;
  }
};

TEST_P(RandomFill, FollowsTheFormula) {
  constexpr std::uint64_t kKey = 0x1234567890ABCDEFULL;
  const std::int64_t first = (std::int64_t{1} << 36) + 8;  // the counter has more than 32 bits
  const at::Tensor normals = exact(normal(8, {kKey, first}, at::kFloat, 2, 0.5));
  const at::Tensor uniforms = exact(uniform(8, {kKey, first}, -1, 3));
  for (std::int64_t i = 0; i < 8; ++i) {
    const auto words = core::philox(kKey, static_cast<std::uint64_t>((first + i) / 4), 0);
    const auto lane = static_cast<std::size_t>(i % 4);
    const double radius = std::sqrt(-2 * std::log((words.value[lane & ~1U] + 1.0) * 0x1p-32));
    const double angle = 2 * kPi * words.value[lane | 1U] * 0x1p-32;
    const double draw = radius * (i % 2 == 0 ? std::cos(angle) : std::sin(angle));
    EXPECT_NEAR(normals[i].item<double>(), 2 + 0.5 * draw, 0x1p-23 * (2 + std::abs(draw)));
    EXPECT_NEAR(uniforms[i].item<double>(), -1 + 4 * (words.value[lane] >> 8U) * 0x1p-24, 0x1p-23);
  }
}

TEST_P(RandomFill, GivesAPieceTheElementsOfTheWhole) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor normals = normal(4103, {42, 0}, type, 0, 0.02);
    const at::Tensor uniforms = uniform(4103, {42, 0}, -2, 2, type);
    for (const auto& [first, length] :
         {std::tuple{0, 1}, {1, 1}, {3, 2}, {2, 9}, {5, 4}, {4, 4}, {7, 1001}, {1024, 3079}, {4102, 1}, {17, 0}}) {
      for (const std::int64_t shift : {0, 1, 3}) {  // of the memory, against its alignment
        SCOPED_TRACE(testing::Message() << first << " + " << length << " at " << shift);
        at::Tensor whole = at::full({length + 8}, 99.0, normals.options());
        at::Tensor piece = whole.narrow(0, shift, length);
        ops().fill_normal(piece, {42, first}, 0, 0.02);
        EXPECT_TRUE(at::equal(piece, normals.narrow(0, first, length)));
        ops().fill_uniform(piece, {42, first}, -2, 2);
        EXPECT_TRUE(at::equal(piece, uniforms.narrow(0, first, length)));
        piece.fill_(99.0);
        EXPECT_TRUE((whole == 99.0).all().item<bool>()) << "wrote outside of the piece";
      }
    }
  }
}

TEST_P(RandomFill, HasTheMomentsOfItsDistribution) {
  constexpr std::int64_t kSize = 1 << 20;
  const double root = std::sqrt(static_cast<double>(kSize));
  const at::Tensor n = exact(normal(kSize, {7, 0}));
  // five standard deviations of the mean of x, x^2 and x^4 of a normal variable: variances 1, 2 and 96
  EXPECT_NEAR(n.mean().item<double>(), 0, 5 / root);
  EXPECT_NEAR(n.square().mean().item<double>(), 1, 5 * std::sqrt(2.0) / root);
  EXPECT_NEAR(n.pow(4).mean().item<double>(), 3, 5 * std::sqrt(96.0) / root);
  const at::Tensor pairs = n.view({-1, 2});
  EXPECT_NEAR((pairs.select(1, 0) * pairs.select(1, 1)).mean().item<double>(), 0, 5 * std::sqrt(2.0) / root);
  const at::Tensor u = exact(uniform(kSize, {7, 0}, 0, 1));
  EXPECT_NEAR(u.mean().item<double>(), 0.5, 5 * std::sqrt(1.0 / 12) / root);
  EXPECT_NEAR(u.square().mean().item<double>(), 1.0 / 3, 5 * std::sqrt(4.0 / 45) / root);
}

TEST_P(RandomFill, DependsOnTheKey) {
  EXPECT_FALSE(at::equal(normal(16, {1, 0}), normal(16, {2, 0})));
  EXPECT_FALSE(at::equal(uniform(16, {1, 0}, 0, 1), uniform(16, {1, 4}, 0, 1)));
  EXPECT_TRUE(at::equal(normal(100'000, {1, 0}), normal(100'000, {1, 0})));
}

TEST_P(RandomFill, StaysBelowTheUpperEnd) {
  // so few numbers between the ends that half of the draws would be rounded up to the upper one
  const double next = 1 + 0x1p-23;
  const at::Tensor narrow = exact(uniform(1000, {3, 0}, 1, next));
  EXPECT_TRUE((narrow == 1).all().item<bool>());
  for (const auto& [low, high] : {std::tuple{0.0, 1.0}, {-1.0, 0.0}, {-3.0, -2.0}, {0.0, 1e-3}}) {
    const at::Tensor flat = exact(uniform(100'000, {3, 0}, low, high, at::kBFloat16));
    EXPECT_LT(flat.max().item<double>(), high);
    EXPECT_GE(flat.min().item<double>(), low);
    EXPECT_GT(flat.max().item<double>(), high - (high - low) / 50);
  }
}

TEST_P(RandomFill, AgreesWithTheCpu) {
  constexpr std::int64_t kSize = 1 << 20;
  at::Tensor on_cpu = at::empty({kSize}, at::kFloat);
  cpu::fill_uniform(on_cpu, {11, 5}, -1, 1);
  EXPECT_TRUE(at::equal(uniform(kSize, {11, 5}, -1, 1).cpu(), on_cpu));
  cpu::fill_normal(on_cpu, {11, 5}, 0, 0.02);
  const at::Tensor here = normal(kSize, {11, 5}, at::kFloat, 0, 0.02).cpu();
  // Units in the last place between them: the bits of two fp32 numbers of the same sign, as integers.
  const at::Tensor distance = (here.view(at::kInt) - on_cpu.view(at::kInt)).abs();
  EXPECT_LE(distance.max().item<int>(), 1);
  // fp64 results that differ by a few of its units are rounded apart once in 2^29 / few elements
  EXPECT_LE(distance.sum().item<std::int64_t>(), 2);
}

TEST_P(RandomFill, RefusesWhatItCannotTake) {
  at::Tensor flat = empty(8);
  EXPECT_THROW(ops().fill_uniform(flat, {}, 1, 1), core::Error);
  EXPECT_THROW(ops().fill_normal(flat, {1, -4}, 0, 1), core::Error);
  at::Tensor wide = empty(8, at::kDouble);
  EXPECT_THROW(ops().fill_normal(wide, {}, 0, 1), core::Error);
}

INSTANTIATE_TEST_SUITE_P(Everywhere, RandomFill, testing::Values("cpu", "cuda"), test::implementation_name);

}  // namespace
}  // namespace tessera::kernels
