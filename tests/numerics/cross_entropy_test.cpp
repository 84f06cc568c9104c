// Loss and hits against LibTorch's own loss in fp64 and against counting by hand.
#include "support/kernel_test.hpp"
#include "tessera/core/error.hpp"

#include <cmath>
#include <tuple>
#include <vector>

// Shapes: B images, C classes.

namespace tessera::kernels {
namespace {

using test::exact;
using test::exact_leaf;
using test::expect_within;
using test::unit_of;

class CrossEntropyTest : public test::KernelTest {
 protected:
  [[nodiscard]] at::Tensor labels(std::int64_t images, std::int64_t classes) const {
    return (at::arange(images, at::kLong) * 7 % classes).to(device());
  }
};

TEST_P(CrossEntropyTest, MatchesAutograd) {
  for (const auto& [images, classes] : {std::tuple{1, 1}, {1, 10}, {31, 33}, {64, 1000}}) {
    for (const double smoothing : {0.0, 0.1}) {
      SCOPED_TRACE(testing::Message() << images << " x " << classes << " smoothing " << smoothing);
      const at::Tensor logits_BC = 10 * random({images, classes}, at::kFloat, 1);
      const at::Tensor labels_B = labels(images, classes);
      const CrossEntropyResult result = ops().cross_entropy(logits_BC, {labels_B}, smoothing);
      const at::Tensor leaf = exact_leaf(logits_BC);
      const at::Tensor loss_B =
          at::cross_entropy_loss(leaf, labels_B.to(at::kCPU), {}, at::Reduction::None, -100, smoothing);
      loss_B.mean().backward();
      // log p = logit - max - log(sum exp): C units of the sum, a few of the magnitudes; then the mean over C of it
      const double unit = unit_of(at::kFloat);
      const at::Tensor size_B = 2 * leaf.detach().abs().amax(1) + static_cast<double>(classes) + 16;
      expect_within(result.loss_B, loss_B, 2 * unit * (size_B + smoothing * static_cast<double>(classes) * size_B),
                    "loss");
      const at::Tensor p_BC = at::softmax(leaf.detach(), 1) + 1.0 / static_cast<double>(classes);
      const at::Tensor near_one_BC = leaf.grad().abs() * images + p_BC;  // p - 1 cancels at the label
      expect_within(result.dlogits_BC, leaf.grad(), 2 * unit * (size_B.unsqueeze(1) * p_BC + near_one_BC + 1) / images,
                    "dlogits");
    }
  }
}

std::int64_t count_below(const at::Tensor& rank_B, std::int64_t k) { return rank_B.lt(k).sum().item<std::int64_t>(); }

TEST_P(CrossEntropyTest, RanksLabelsAndGivesTiesToTheLowerClass) {
  const float nan = std::nanf("");
  const at::Tensor logits_BC = at::tensor({5.F, 1.F, 2.F, 3.F, 4.F, 0.F, 0.F,   // label 0 is greatest
                                           5.F, 1.F, 2.F, 3.F, 4.F, 0.F, 0.F,   // label 1 is fifth
                                           5.F, 1.F, 2.F, 3.F, 4.F, 0.F, 0.F,   // label 5 is sixth: lower than 6
                                           2.F, 2.F, 2.F, 2.F, 2.F, 2.F, 2.F,   // label 0 wins the tie
                                           2.F, 2.F, 2.F, 2.F, 2.F, 2.F, 2.F,   // label 4 is fifth in it
                                           2.F, 2.F, 2.F, 2.F, 2.F, 2.F, 2.F,   // label 5 is sixth
                                           nan, 1.F, 2.F, 3.F, 4.F, 0.F, 0.F,   // a NaN at the label is no hit
                                           0.F, nan, nan, nan, nan, nan, 9.F})  // 6 beats 0 alone
                                   .view({8, 7})
                                   .to(device());
  const at::Tensor labels_B = at::tensor({0, 1, 5, 0, 4, 5, 0, 6}, at::kLong).to(device());
  const at::Tensor rank_B = ops().label_rank(logits_BC, labels_B).cpu();
  const std::vector<std::int64_t> expected{0, 4, 5, 0, 4, 5, kNoRank, 5};
  EXPECT_TRUE(rank_B.equal(at::tensor(expected))) << rank_B;
}

TEST_P(CrossEntropyTest, EveryImageIsAHitAmongFewClasses) {
  const at::Tensor logits_BC = random({40, 3}, at::kFloat, 1);
  const at::Tensor labels_B = labels(40, 3);
  const at::Tensor rank_B = ops().label_rank(logits_BC, labels_B);
  EXPECT_EQ(count_below(rank_B, 5), 40);
  EXPECT_EQ(count_below(rank_B, 1), (logits_BC.argmax(1) == labels_B).sum().item<std::int64_t>());
  const at::Tensor broken_BC = at::full_like(logits_BC, std::nan(""));
  EXPECT_EQ(count_below(ops().label_rank(broken_BC, labels_B), 5), 0);
}

TEST_P(CrossEntropyTest, RefusesWhatItCannotTake) {
  const at::Tensor logits_BC = random({4, 3}, at::kFloat, 1);
  EXPECT_THROW(ops().cross_entropy(logits_BC.to(at::kBFloat16), {labels(4, 3)}, 0), core::Error);
  EXPECT_THROW(ops().cross_entropy(logits_BC, {labels(3, 3)}, 0), core::Error);
  EXPECT_THROW(ops().cross_entropy(logits_BC, {labels(4, 3)}, 1), core::Error);
}

INSTANTIATE_TEST_SUITE_P(Everywhere, CrossEntropyTest, test::kImplementations, test::implementation_name);

}  // namespace
}  // namespace tessera::kernels
