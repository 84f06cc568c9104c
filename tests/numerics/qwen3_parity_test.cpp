// The classifier against Hugging Face transformers, and timm's stochastic depth in it: logits and every gradient
// (tests/numerics/make_qwen3_fixtures.py).
#include "support/local_parameters.hpp"
#include "tessera/config/model_shape.hpp"
#include "tessera/kernels/ops.hpp"
#include "tessera/model/qwen3_classifier.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <tuple>

namespace tessera::model {
namespace {

Geometry geometry_of(const std::string& name) {
  return {20, 4, 7,
          name == "mean"  ? config::Pooling::kMean
          : name == "cls" ? config::Pooling::kClassToken
                          : config::Pooling::kLastToken};
}
const std::string kData = std::string(TESSERA_TEST_DATA) + "/qwen3/";

/// Some blocks of either kind, or none.
RecomputePolicy policy(bool recomputes) { return recomputes ? RecomputePolicy{1, 4} : RecomputePolicy{}; }

struct Trial {
  Trial(const std::string& name, c10::Device on, at::ScalarType type, const RecomputePolicy& recompute)
      : fixture(test::load_safetensors(kData + name + ".safetensors")),
        shape(config::read_model_config(kData + name + ".config.json")),
        ops(kernels::ops_for(on.type())),
        model(shape, geometry_of(name), ops, {on, type, recompute}),
        parameters(model.params(), on, type),
        device(on),
        dtype(type) {
    for (const Param& param : model.params().params) {
      parameters.param(param.name).copy_(fixture.at(param.name));
    }
  }

  at::Tensor forward_backward() {
    Activations activations;
    if (fixture.contains("scales")) {
      activations.branch_scales_L2B = fixture.at("scales").to(device);
    }
    const at::Tensor logits_BC = model.forward(fixture.at("images").to(device, dtype), parameters, &activations);
    const auto entropy = ops.cross_entropy(logits_BC, {fixture.at("labels").to(device)}, 0.1);
    model.backward(entropy.dlogits_BC, activations, parameters, parameters);
    EXPECT_TRUE(activations.blocks.empty());
    loss = entropy.loss_B.mean().item<double>();
    return logits_BC;
  }

  std::map<std::string, at::Tensor> fixture;
  config::ModelShape shape;
  const kernels::Ops& ops;
  Qwen3Classifier model;
  test::LocalParameters parameters;
  c10::Device device;
  at::ScalarType dtype;
  double loss = 0;
};

class Qwen3Parity : public testing::TestWithParam<std::tuple<std::string, bool, std::string>> {
 protected:
  void SetUp() override {
    if (std::get<2>(GetParam()) == "cuda") {
      if (!at::hasCUDA()) {
        GTEST_SKIP() << "no CUDA device";
      }
      device_ = c10::Device(c10::kCUDA, 0);
    }
  }
  c10::Device device_ = c10::kCPU;
};

TEST_P(Qwen3Parity, LogitsAndEveryGradientAgreeInFp32) {
  Trial run(std::get<0>(GetParam()), device_, at::kFloat, policy(std::get<1>(GetParam())));
  const at::Tensor logits_BC = run.forward_backward();
  EXPECT_LT(test::relative_error(logits_BC, run.fixture.at("logits")), 1e-5);
  EXPECT_NEAR(run.loss, run.fixture.at("loss").item<double>(), 1e-5);
  for (const Param& param : run.model.params().params) {
    EXPECT_LT(test::relative_error(run.parameters.gradient(param.name), run.fixture.at("grad." + param.name)), 1e-5)
        << param.name;
  }
}

TEST_P(Qwen3Parity, ReportsUnitsInReverseAndEachOnce) {
  Trial run(std::get<0>(GetParam()), device_, at::kFloat, policy(std::get<1>(GetParam())));
  run.forward_backward();
  std::vector<int> expected(run.model.params().units.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    expected[i] = static_cast<int>(expected.size() - 1 - i);
  }
  EXPECT_EQ(run.parameters.ready_order, expected);
}

TEST_P(Qwen3Parity, AccumulatesASecondMicroStep) {
  Trial run(std::get<0>(GetParam()), device_, at::kFloat, policy(std::get<1>(GetParam())));
  run.forward_backward();
  run.parameters.accumulate = true;
  run.forward_backward();
  for (const Param& param : run.model.params().params) {
    EXPECT_LT(test::relative_error(run.parameters.gradient(param.name), 2 * run.fixture.at("grad." + param.name)), 1e-5)
        << param.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, Qwen3Parity,
                         testing::Combine(testing::Values("mha", "gqa4", "odd", "deep", "dropped", "mean", "cls"),
                                          testing::Bool(), testing::Values("cpu", "cuda")),
                         [](const auto& test) {
                           return std::get<0>(test.param) + (std::get<1>(test.param) ? "_recompute_" : "_keep_") +
                                  std::get<2>(test.param);
                         });

// bf16 rounds every activation to 8 bits: gradients keep their direction, not their digits.
class Qwen3Bfloat16 : public testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(Qwen3Bfloat16, GradientsKeepTheirDirection) {
  const bool cuda = std::get<1>(GetParam()) == "cuda";
  if (cuda && !at::hasCUDA()) {
    GTEST_SKIP() << "no CUDA device";
  }
  Trial run(std::get<0>(GetParam()), cuda ? c10::Device(c10::kCUDA, 0) : c10::Device(c10::kCPU), at::kBFloat16, {});
  run.forward_backward();
  for (const Param& param : run.model.params().params) {
    const at::Tensor got = run.parameters.gradient(param.name).to(at::kCPU, at::kDouble).flatten();
    const at::Tensor want = run.fixture.at("grad." + param.name).to(at::kDouble).flatten();
    const double cosine = (got.dot(want) / (got.norm() * want.norm())).item<double>();
    EXPECT_GT(cosine, 0.99) << param.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, Qwen3Bfloat16,
                         testing::Combine(testing::Values("mha", "gqa4", "dropped", "mean", "cls"),
                                          testing::Values("cpu", "cuda")),
                         [](const auto& test) { return std::get<0>(test.param) + "_" + std::get<1>(test.param); });

TEST(Qwen3Recompute, ChangesNoBit) {
  Trial kept("deep", c10::kCPU, at::kFloat, {});
  const at::Tensor logits = kept.forward_backward();
  for (const RecomputePolicy policy : {RecomputePolicy{99, 0}, {0, 99}, {3, 5}}) {
    Trial recomputed("deep", c10::kCPU, at::kFloat, policy);
    EXPECT_TRUE(at::equal(logits, recomputed.forward_backward()));
    for (const Param& param : kept.model.params().params) {
      EXPECT_TRUE(at::equal(kept.parameters.gradient(param.name), recomputed.parameters.gradient(param.name)))
          << param.name;
    }
  }
}

TEST(Qwen3Inference, GivesTheLogitsOfTraining) {
  Trial run("odd", c10::kCPU, at::kFloat, {});
  const at::Tensor training = run.forward_backward();
  EXPECT_TRUE(at::equal(run.model.forward(run.fixture.at("images"), run.parameters, nullptr), training));
}

TEST(Qwen3Inference, HasNoStochasticDepth) {
  Trial run("dropped", c10::kCPU, at::kFloat, {});
  const at::Tensor training = run.forward_backward();
  const at::Tensor whole = run.model.forward(run.fixture.at("images"), run.parameters, nullptr);
  EXPECT_GT(test::relative_error(whole, training), 1e-3);
  run.fixture.at("scales").fill_(1);
  EXPECT_LT(test::relative_error(whole, run.forward_backward()), 1e-5);
}

}  // namespace
}  // namespace tessera::model
