// The shipped jobs under a real Slurm, on sizes that two cores run in seconds.
#include "support/slurm_test.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>

namespace tessera::test {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

TEST_F(SlurmTest, SeveralNodesThenConsolidation) {
  const std::string run = file("run");
  const std::string id = cluster().id_of(cluster().submit("multi_node -- " + flags() + " --output_dir " + run));
  const std::string exported = file("model.safetensors");
  const std::string next =
      cluster().id_of(cluster().submit("consolidate --after " + id + " --sbatch --ntasks-per-node=1 -- " + run +
                                       "/checkpoint-final --output " + exported));
  expect_completed(id);
  EXPECT_NE(cluster().log(id).find("4 ranks on 2 nodes"), std::string::npos) << cluster().log(id);
  EXPECT_EQ(Json::parse(read_file(run + "/args.json"))["hosts"], (Json{"node1", "node2"}));
  expect_completed(next);
  EXPECT_TRUE(fs::exists(exported));

  // The same by mpirun, which starts its daemons through Slurm: the same sums.
  const std::string again = file("again");
  const std::string other = cluster().id_of(
      cluster().submit("multi_node -- " + flags() + " --output_dir " + again, "TESSERA_LAUNCHER=mpirun"));
  expect_completed(other);
  const CommandResult same = tessera_ckpt("diff " + run + "/checkpoint-final " + again + "/checkpoint-final");
  EXPECT_EQ(same.status, 0) << same.output;
}

TEST_F(SlurmTest, OneNodeThenALinearProbeBesideOffload) {
  const std::string run = file("run");
  const std::string id = cluster().id_of(cluster().submit("single_node -- " + flags() + " --output_dir " + run));
  const std::string probe = cluster().id_of(cluster().submit(
      "linprobe --after " + id +
      " -- --device cpu --num_workers 1 --batch_size 10 --epochs 1 "
      "--warmup_epochs 0 --data_path " +
      file("data") + " --finetune_checkpoint " + run + "/checkpoint-final --output_dir " + file("probe")));
  const std::string offloaded =
      cluster().id_of(cluster().submit("offload -- " + flags() + " --output_dir " + file("offloaded")));
  expect_completed(id);
  expect_completed(probe);
  expect_completed(offloaded);
  EXPECT_EQ(Json::parse(read_file(file("offloaded/args.json")))["offload_optimizer"], "cpu");
  EXPECT_TRUE(fs::exists(file("probe/final_results.json")));
  EXPECT_EQ(Json::parse(read_file(file("probe/args.json")))["opt"], "lars") << "as configs/zero2_linprobe.json says";
}

// In a container that is none: every program is started by the words that would start it in one.
TEST_F(SlurmTest, SweepInAContainer) {
  write_file(file("lines"), "# two rates\n--blr 0.01\n\n--blr 0.03 --weight_decay 0.1\n");
  write_file(file("image"), "");
  fs::create_directory(file("bin"));
  write_file(file("bin/apptainer"), "#!/bin/sh\necho \"$1 $2 $3\" >>" + file("started") + "\nshift 3\nexec \"$@\"\n");
  fs::permissions(file("bin/apptainer"), fs::perms::owner_all);
  const std::string id = cluster().id_of(cluster().submit(
      "sweep --lines " + file("lines") + " -- " + flags("--epochs 1") + " --output_dir " + file("sweep"),
      "PATH=" + file("bin") + ":$PATH TESSERA_CONTAINER=" + file("image")));
  expect_completed(id + "_1");
  expect_completed(id + "_2");
  EXPECT_EQ(Json::parse(read_file(file("sweep/1/args.json")))["blr"], 0.01);
  EXPECT_EQ(Json::parse(read_file(file("sweep/2/args.json")))["blr"], 0.03);
  EXPECT_EQ(Json::parse(read_file(file("sweep/2/args.json")))["weight_decay"], 0.1);
  std::string wanted;
  for (int start = 0; start < 2 + 2 * 2; ++start) {
    wanted += "exec --nv " + file("image") + "\n";
  }
  EXPECT_EQ(read_file(file("started")), wanted) << "two plans, and two runs of two ranks";
}

TEST_F(SlurmTest, WhatTheProgramRefusesFailsTheJobAndIsNotRequeued) {
  write_file(file("data/t10k-labels-idx1-ubyte"), "cut short");
  const std::string id =
      cluster().id_of(cluster().submit("short_limit -- " + flags() + " --output_dir " + file("run")));
  const SlurmJob job = cluster().ended(id);
  EXPECT_EQ(job.at("JobState"), "FAILED") << cluster().log(id);
  EXPECT_EQ(job.at("ExitCode"), "2:0") << cluster().log(id);
  EXPECT_EQ(job.at("Restarts"), "0");
  EXPECT_NE(cluster().log(id).find("refused before training"), std::string::npos) << cluster().log(id);
}

TEST_F(SlurmTest, SubmissionRefuses) {
  const auto expect_refused = [](const CommandResult& result, const std::string& words) {
    EXPECT_EQ(result.status, 2) << result.output;
    EXPECT_NE(result.output.find(words), std::string::npos) << result.output;
  };
  const std::string run = " --output_dir " + file("run");
  expect_refused(cluster().submit("many_nodes -- " + flags() + run), "there is no jobs/many_nodes.sbatch; there are:");
  expect_refused(cluster().submit("multi_node --nodes two -- " + flags() + run), "--nodes must be a whole number");
  expect_refused(cluster().submit("multi_node -- " + flags()), "--output_dir is missing");
  expect_refused(cluster().submit("multi_node -- " + flags() + " --bathc 3" + run), "the plan is refused");
  expect_refused(cluster().submit("multi_node --gpu_memory 500KiB -- " + flags() + run), "does not fit 500KiB");
  expect_refused(cluster().submit("multi_node --nodes 3 -- " + flags() + run), "Slurm would not take it");
  expect_refused(cluster().submit("sweep -- " + flags() + run), "sweep needs --lines FILE");
  expect_refused(cluster().submit("consolidate -- " + file("none") + " --output " + file("model.h5")),
                 "checkpoint " + file("none") + " is not there");
  expect_refused(cluster().submit("multi_node -- " + flags() + " --output_dir /proc/run"), "cannot be written");
  const CommandResult dry = cluster().submit("multi_node --dry_run -- " + flags() + run);
  EXPECT_EQ(dry.status, 0) << dry.output;
  EXPECT_NE(dry.output.find("plan for 4 ranks"), std::string::npos) << dry.output;
  EXPECT_EQ(cluster().run("squeue --noheader").output, "") << "nothing was queued";
}

}  // namespace
}  // namespace tessera::test
