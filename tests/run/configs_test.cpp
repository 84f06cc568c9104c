// Every file in configs/ is planned for each size of Qwen3, and run with a tiny one.
#include "support/small_run.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <regex>
#include <string>
#include <vector>

namespace tessera::test {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

std::vector<std::string> configs() {
  std::vector<std::string> paths;
  for (const std::string& name : list_directory(TESSERA_CONFIGS)) {
    paths.push_back(std::string(TESSERA_CONFIGS) + "/" + name);
  }
  return paths;
}

bool is_of_probe(const std::string& config) { return config.find("linprobe") != std::string::npos; }

TEST(Configs, AreAllHere) {
  const std::vector<std::string> paths = configs();
  for (const char* const name : {"ddp.json", "zero2.json", "zero2_offload.json", "zero2_linprobe.json"}) {
    EXPECT_EQ(std::ranges::count(paths, std::string(TESSERA_CONFIGS) + "/" + name), 1) << name;
  }
}

// What the file's comment says that a rank takes of this size, in GiB; 0 where it says nothing.
double said(const std::string& config, const std::string& size) {
  std::smatch found;
  const std::string text = read_file(config);
  return std::regex_search(text, found, std::regex("//.* " + size + " (\\d+\\.\\d)", std::regex::icase))
             ? std::stod(found[1].str())
             : 0;
}

// Bytes of a rank that do not depend on the batch.
double state_bytes(const Json& plan) {
  double sum = 0;
  for (const char* const item : {"parameters", "optimizer", "gradients", "backbone"}) {
    sum += plan["bytes"].value(item, 0.0);
  }
  return sum;
}

TEST(Configs, ArePlannedForEverySize) {
  int num_said = 0;
  for (const std::string& config : configs()) {
    std::int64_t last = 0;
    for (const char* const size : {"0.6b", "1.7b", "4b", "8b", "14b", "32b"}) {
      const CommandResult planned = tessera("plan --config " + config + " --model_config qwen3-" + size +
                                            " --dataset cifar100 --batch_size 8 --world_size 8 --json" +
                                            (is_of_probe(config) ? " --linprobe" : ""));
      ASSERT_EQ(planned.status, 0) << config << " " << size << "\n" << planned.output;
      const Json plan = Json::parse(planned.output);
      EXPECT_GT(plan["total_bytes"].get<std::int64_t>(), last) << config << ": a larger model takes more";
      last = plan["total_bytes"];
      if (const double gib = said(config, size); gib > 0) {
        EXPECT_NEAR(state_bytes(plan) / (1 << 30), gib, 0.01 * gib + 0.05) << config << " " << size << ": its comment";
        ++num_said;
      }
    }
  }
  EXPECT_EQ(num_said, 4 * 6) << "all but quickstart and zero1 tell what each size takes";
}

Json plan_of(const std::string& flags) {
  const CommandResult result =
      tessera("plan --model_config qwen3-8b --dataset cifar100 --zero_stage 2 --json " + flags);
  EXPECT_EQ(result.status, 0) << result.output;
  return Json::parse(result.output);
}

// Each answer is a plan that fits, and the next one is not.
TEST(Plan, AnswersWhatFits) {
  const Json asked = plan_of("--world_size 8 --batch_size 8 --gpu_memory 80GiB --tflops 400");
  const std::string batch = std::to_string(asked["largest_batch"].get<std::int64_t>());
  const std::string more = std::to_string(asked["largest_batch"].get<std::int64_t>() + 1);
  EXPECT_GT(asked["largest_batch"], 8);
  EXPECT_EQ(plan_of("--world_size 8 --gpu_memory 80GiB --batch_size " + batch)["fits"], true);
  EXPECT_EQ(plan_of("--world_size 8 --gpu_memory 80GiB --batch_size " + more)["fits"], false);
  const int ranks = asked["least_ranks"];
  ASSERT_GT(ranks, 1);
  EXPECT_EQ(plan_of("--batch_size 8 --gpu_memory 80GiB --world_size " + std::to_string(ranks))["fits"], true);
  EXPECT_EQ(plan_of("--batch_size 8 --gpu_memory 80GiB --world_size " + std::to_string(ranks - 1))["fits"], false);
  for (const char* const level : {"none", "feed_forward", "block"}) {
    EXPECT_EQ(asked["bytes_by_checkpointing"][level],
              plan_of("--world_size 8 --batch_size 8 --gradient_checkpointing " + std::string(level))["total_bytes"]);
  }
  const Json offloaded = plan_of("--world_size 8 --batch_size 8 --offload_optimizer cpu");
  EXPECT_EQ(asked["offloaded"]["total_bytes"], offloaded["total_bytes"]);
  EXPECT_EQ(asked["offloaded"]["host_bytes"], offloaded["host_bytes"]);
  EXPECT_LT(offloaded["total_bytes"], asked["total_bytes"]);
  EXPECT_GT(offloaded["host_bytes"], asked["host_bytes"]);
  const Json settled =
      plan_of("--world_size 1 --batch_size 8 --offload_optimizer cpu --offload_ratio auto --gpu_memory 80GiB");
  EXPECT_EQ(settled["fits"], true);
  EXPECT_GT(settled["offload_ratio"], 0.0) << "112 GiB of state";
  EXPECT_LT(settled["offload_ratio"], 1.0);
  const std::string offload = "--world_size 1 --batch_size 8 --offload_optimizer cpu";
  EXPECT_EQ(plan_of(offload + " --gpu_memory 80GiB")["total_bytes"],
            plan_of(offload + " --offload_gradients none")["total_bytes"]);
  EXPECT_EQ(plan_of(offload + " --gpu_memory 32GiB")["total_bytes"],
            plan_of(offload + " --offload_gradients cpu")["total_bytes"])
      << "15 GiB of parameters, and as much of gradients";
  // Few micro-steps are sooner computed again than state is fetched over the bus; many are not.
  const std::string open = offload + " --offload_ratio auto --gpu_memory 96GiB";
  for (const char* const micro_steps : {" --accum_iter 1", " --accum_iter 8"}) {
    const double alone = plan_of(open + micro_steps)["offload_ratio"];
    const double with_recomputation = plan_of(open + micro_steps + " --gradient_checkpointing auto")["offload_ratio"];
    EXPECT_EQ(with_recomputation < alone, micro_steps == std::string(" --accum_iter 1")) << micro_steps;
  }
  const double step_flops = asked["step_flops_per_rank"];
  EXPECT_NEAR(asked["epoch_seconds"].get<double>(), 50'000 / (8.0 * 8) * step_flops / 400e12, 1e-6);
  EXPECT_EQ(plan_of("--world_size 1 --batch_size 8 --gpu_memory 10GiB")["largest_batch"], 0);
  EXPECT_FALSE(plan_of("--world_size 8").contains("largest_batch")) << "whose memory is not known";
  EXPECT_EQ(tessera("plan --model_config tiny --tflops 0").status, 2);
  EXPECT_EQ(tessera("plan --model_config tiny --offload_optimizer cpu").status, 2) << "stage 0 shares nothing";
  EXPECT_EQ(tessera("plan --model_config tiny --zero_stage 2 --offload_optimizer cpu --offload_ratio auto").status, 2)
      << "of what memory?";
}

TEST(Configs, AreRun) {
  const ScratchDirectory scratch;
  const std::string data = scratch.file("data");
  write_small_dataset(data, 80, 20);
  std::string trained;
  for (const std::string& config : configs()) {
    if (!is_of_probe(config)) {
      trained = scratch.file(fs::path(config).stem());
      const CommandResult result = finetune(2, data, trained, "--config " + config + " --epochs 1 --batch_size 10");
      ASSERT_EQ(result.status, 0) << config << "\n" << result.output;
      EXPECT_EQ(column(trained + "/steps.jsonl", "loss").size(), 4U) << config;
      EXPECT_EQ(result.output.find("--offload_optimizer cpu means nothing here") != std::string::npos,
                config.find("offload") != std::string::npos)
          << result.output;
    }
  }
  for (const std::string& config : configs()) {
    if (is_of_probe(config)) {
      const std::string out = scratch.file(fs::path(config).stem());
      const CommandResult result =
          run_ranks(2, "linprobe --device cpu --num_workers 1 --config " + config + " --finetune_checkpoint " +
                           trained + "/checkpoint-final --data_path " + data +
                           " --epochs 1 --warmup_epochs 0 --batch_size 10 --output_dir " + out);
      ASSERT_EQ(result.status, 0) << config << "\n" << result.output;
      EXPECT_EQ(column(out + "/steps.jsonl", "loss").size(), 4U) << config;
      EXPECT_EQ(Json::parse(read_file(out + "/args.json"))["trust_coefficient"], 0.001) << config;
    }
  }
}

}  // namespace
}  // namespace tessera::test
