// The norm before a probe's head, on 1 to 4 ranks, against ATen's batch norm of the whole batch; and the probe's
// gradients against autograd.
#include "support/local_parameters.hpp"
#include "support/mpi_world.hpp"
#include "support/small_model.hpp"
#include "tessera/comm/make_collectives.hpp"
#include "tessera/engine/tensor_collectives.hpp"
#include "tessera/kernels/ops.hpp"
#include "tessera/model/linear_probe.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

// Shapes: B images, D features, C classes.

namespace tessera::model {
namespace {

constexpr std::int64_t kFeatures = 32;
constexpr std::int64_t kBatch = 12;  // of all ranks
constexpr double kEps = 1e-6;

// Features of very different sizes, some far from 0: what a difference of large sums would spoil.
at::Tensor features_of_step(std::int64_t step) {
  const at::Tensor row = at::arange(kBatch).view({-1, 1}).to(at::kDouble);
  const at::Tensor column = at::arange(kFeatures).view({1, -1}).to(at::kDouble);
  return (at::sin(row * 1.3 + column * 0.7 + static_cast<double>(step)) * at::pow(1.3, column - 16) + 30 * (column - 5))
      .to(at::kFloat);
}

class FeatureNormTest : public testing::Test {
 protected:
  FeatureNormTest() : collectives_(comm::make_collectives(mesh(), comm::Backend::kMpi)) {}

  static topology::Mesh mesh() {
    topology::Mesh mesh = topology::discover_mesh(test::world(), topology::DeviceRequest::kCpu);
    mesh.device = {};
    return mesh;
  }
  [[nodiscard]] FeatureNorm make_norm() const {
    return {kFeatures, c10::kCPU, [this](at::Tensor& values) { engine::sum_over_ranks(*collectives_, values); }};
  }
  static at::Tensor mine(const at::Tensor& whole) {
    const std::int64_t count = kBatch / test::world().size();
    return whole.narrow(0, count * test::world().rank(), count);
  }

  std::unique_ptr<comm::Collectives> collectives_;
};

TEST_F(FeatureNormTest, IsBatchNormOfAllRanksTogether) {
  FeatureNorm norm = make_norm();
  at::Tensor mean = at::zeros({kFeatures}, at::kDouble);
  at::Tensor var = at::ones({kFeatures}, at::kDouble);
  for (std::int64_t step = 0; step < 5; ++step) {
    const at::Tensor whole = features_of_step(step);
    const at::Tensor expected =
        at::batch_norm(whole.to(at::kDouble), {}, {}, mean, var, /*training=*/true, 0.1, kEps, false);
    const at::Tensor actual = norm.of_batch(mine(whole));
    // What the mean errs by is of the size of the features, and is divided by their deviation.
    const double unit = std::numeric_limits<float>::epsilon();
    const at::Tensor exact = whole.to(at::kDouble);
    const at::Tensor deviation = (exact.var(0, /*unbiased=*/false) + kEps).sqrt();
    const at::Tensor allowed = 4 * kBatch * unit * (1 + exact.abs() / deviation);
    EXPECT_TRUE(((actual.to(at::kDouble) - mine(expected)).abs() <= mine(allowed)).all().item<bool>());
    EXPECT_LT(test::relative_error(norm.running_mean(), mean), 1e-6);
    EXPECT_LT(test::relative_error(norm.running_var(), var), 1e-5);
  }
  const at::Tensor other = features_of_step(9);
  const at::Tensor expected =
      at::batch_norm(other.to(at::kDouble), {}, {}, mean, var, /*training=*/false, 0.1, kEps, false);
  EXPECT_LT(test::relative_error(norm.of_any(other), expected), 1e-5);
}

TEST_F(FeatureNormTest, ABatchThatIsNotFiniteLeavesNoTrace) {
  FeatureNorm norm = make_norm();
  norm.of_batch(mine(features_of_step(0)));
  const at::Tensor before = norm.running_var().clone();
  at::Tensor broken = features_of_step(1);
  broken.fill_(std::numeric_limits<float>::infinity());
  norm.of_batch(mine(broken));
  EXPECT_TRUE(at::equal(norm.running_var(), before));
}

TEST_F(FeatureNormTest, TheHeadsGradientsAreAutogradsOfTheNormalisedFeatures) {
  const kernels::Ops& ops = kernels::ops_for(c10::DeviceType::CPU);
  const Qwen3Classifier model(test::small_shape(), test::kSmallGeometry, ops, {});
  const ParamTable table = backbone_part(model.params());
  EXPECT_EQ(table.params.back().name, "qwen.norm.weight");
  test::LocalParameters frozen(table, c10::kCPU, at::kFloat);
  FeatureNorm norm = make_norm();
  const LinearProbe probe({model, frozen}, test::kSmallGeometry.num_classes, &norm);
  test::LocalParameters head(probe.params(), c10::kCPU, at::kFloat);
  head.weight(0).copy_(at::sin(at::arange(7 * kFeatures).view({7, kFeatures}).to(at::kFloat)));

  const at::Tensor rows = mine(features_of_step(2));
  Activations kept;
  const at::Tensor logits = probe.forward(rows, head, &kept);
  const at::Tensor labels = at::arange(rows.size(0)).remainder(7);
  const auto entropy = ops.cross_entropy(logits, {labels}, 0);
  const at::Tensor normalised = kept.features_BD.clone();
  probe.backward(entropy.dlogits_BC, kept, head, head);

  const at::Tensor weight = head.param("classifier.weight").clone().requires_grad_(true);
  const at::Tensor bias = head.param("classifier.bias").clone().requires_grad_(true);
  at::cross_entropy_loss(at::linear(normalised, weight, bias), labels).backward();
  EXPECT_LT(test::relative_error(head.gradient("classifier.weight"), weight.grad()), 1e-5);
  EXPECT_LT(test::relative_error(head.gradient("classifier.bias"), bias.grad()), 1e-5);
}

}  // namespace
}  // namespace tessera::model
