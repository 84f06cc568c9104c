// The model of steps on many GPUs, by hand and at its limits.
#include "tessera/engine/scaling_model.hpp"

#include <gtest/gtest.h>

namespace tessera::engine {
namespace {

// A step of 0.3 s: forward 0.1, backward 0.2; 4 GB to reduce and to gather, in 10 buckets.
StepOnOneGpu step_of_ten_buckets() {
  StepOnOneGpu step;
  step.seconds = 0.3;
  step.gradient_bytes = 4e9;
  step.parameter_bytes = 4e9;
  step.num_buckets = 10;
  return step;
}

// Two GPUs a node, round numbers, no latency.
Fabric round_fabric() {
  Fabric fabric;
  fabric.gpus_per_node = 2;
  fabric.gpu_rate = 100e9;
  fabric.node_rate = 10e9;
  fabric.efficiency = 1;
  fabric.gpu_latency = 0;
  fabric.node_latency = 0;
  return fabric;
}

TEST(ScalingModel, OneGpuTalksToNobody) {
  const PredictedStep alone = predict_step(step_of_ten_buckets(), round_fabric(), 1);
  EXPECT_DOUBLE_EQ(alone.seconds, 0.3);
  EXPECT_DOUBLE_EQ(alone.exposed, 0);
  EXPECT_DOUBLE_EQ(alone.efficiency, 1);
}

TEST(ScalingModel, IsTheSumThatItSays) {
  // Within a node: half of 4 GB at 100 GB/s is 20 ms, hidden but for a tenth, each way.
  const PredictedStep node = predict_step(step_of_ten_buckets(), round_fabric(), 2);
  EXPECT_DOUBLE_EQ(node.reduction, 0.02);
  EXPECT_DOUBLE_EQ(node.gather, 0.02);
  EXPECT_NEAR(node.exposed, 0.004, 1e-12);
  EXPECT_NEAR(node.efficiency, 0.3 / 0.304, 1e-12);
  // Over nodes: 3/4 of 4 GB through two ports of 10 GB/s are 150 ms. Backward's 200 ms hide nine tenths of the
  // reduction; forward's 100 ms hide 100 of the gather's 135.
  const PredictedStep nodes = predict_step(step_of_ten_buckets(), round_fabric(), 4);
  EXPECT_DOUBLE_EQ(nodes.reduction, 0.15);
  EXPECT_NEAR(nodes.exposed, 0.015 + 0.015 + 0.035, 1e-12);
}

TEST(ScalingModel, CountsLatenciesAndTheNormsExchange) {
  Fabric fabric = round_fabric();
  fabric.gpu_latency = 1e-3;
  fabric.node_latency = 5e-3;
  const PredictedStep nodes = predict_step(step_of_ten_buckets(), fabric, 4);
  // Ten rings over two borders (5 ms each) and two steps within (1 ms each).
  EXPECT_NEAR(nodes.reduction, 0.15 + 10 * 0.012, 1e-12);
  EXPECT_NEAR(nodes.exposed, (0.027 + 0.27 - 0.027 - 0.2) + (0.027 + 0.27 - 0.027 - 0.1) + 2 * 2 * 5e-3, 1e-12);
}

TEST(ScalingModel, KnowsTheStages) {
  StepOnOneGpu step = step_of_ten_buckets();
  step.micro_steps = 4;
  const double partitioned = predict_step(step, round_fabric(), 4).reduction;
  EXPECT_DOUBLE_EQ(partitioned, 4 * 0.15) << "stage 2 reduces every micro-step";
  step.reduce_at_boundary = true;
  EXPECT_DOUBLE_EQ(predict_step(step, round_fabric(), 4).reduction, 0.15);
  step.zero_stage = 0;
  EXPECT_DOUBLE_EQ(predict_step(step, round_fabric(), 4).reduction, 0.3) << "an all-reduce is a ring twice";
  EXPECT_DOUBLE_EQ(predict_step(step, round_fabric(), 4).gather, 0);
  step.overlap = false;
  EXPECT_NEAR(predict_step(step, round_fabric(), 4).exposed, 0.3, 1e-12);
}

TEST(ScalingModel, OnlyLosesWithMoreGpus) {
  double last = 1;
  for (int world = 1; world <= 4096; world *= 2) {
    const PredictedStep predicted = predict_step(step_of_ten_buckets(), Fabric{}, world);
    EXPECT_LE(predicted.efficiency, last) << world;
    EXPECT_GT(predicted.efficiency, 0);
    last = predicted.efficiency;
  }
  Fabric infinite;
  infinite.gpu_rate = infinite.node_rate = 1e30;
  infinite.gpu_latency = infinite.node_latency = 0;
  EXPECT_NEAR(predict_step(step_of_ten_buckets(), infinite, 1024).efficiency, 1, 1e-9);
}

}  // namespace
}  // namespace tessera::engine
