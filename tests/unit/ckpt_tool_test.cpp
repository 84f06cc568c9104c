// tessera-ckpt as its users run it.
#include "support/sample_state.hpp"
#include "support/scratch.hpp"
#include "support/sparse_checkpoint.hpp"
#include "tessera/checkpoint/save.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>

namespace tessera {
namespace {

using nlohmann::json;

class CkptTool : public testing::Test {
 protected:
  void save_sample(const std::string& name, int step) const {
    const test::SampleState state(0, 1, {});
    checkpoint::SaveRequest request;
    request.run_dir = scratch_.file("run");
    request.name = name;
    request.state = state.description();
    request.run = test::sample_run(step);
    checkpoint::save(request);
  }

  static test::CommandResult tool(const std::string& words) { return test::run_command(TESSERA_CKPT " " + words); }

  [[nodiscard]] std::string path(const std::string& name) const { return scratch_.file("run/checkpoint-" + name); }

  test::ScratchDirectory scratch_;
};

void expect_in(const test::CommandResult& result, int status, const std::string& text) {
  EXPECT_EQ(result.status, status) << result.output;
  EXPECT_NE(result.output.find(text), std::string::npos) << "'" << text << "' is not in\n" << result.output;
}

TEST_F(CkptTool, SaysHowItIsUsed) {
  expect_in(tool(""), 2, "usage: tessera-ckpt VERB");
  expect_in(tool("--help"), 0, "consolidate");
  for (const std::string verb : {"ls", "inspect", "verify", "diff", "consolidate", "import", "prune"}) {
    const auto help = tool(verb + " --help");
    expect_in(help, 0, "usage: tessera-ckpt " + verb);
    expect_in(help, 0, "Examples:\n    tessera-ckpt " + verb);
  }
}

TEST_F(CkptTool, NeedsNoMpiGpuOrLibTorch) {
  if (!TESSERA_SERIAL_HDF5) {
    GTEST_SKIP() << "built without a serial HDF5 (libhdf5-dev)";
  }
  const auto libraries = test::run_command("ldd " TESSERA_CKPT);
  EXPECT_EQ(libraries.status, 0) << libraries.output;
  for (const std::string name : {"libmpi", "openmpi", "libtorch", "libc10", "libcuda", "libnccl"}) {
    EXPECT_EQ(libraries.output.find(name), std::string::npos) << libraries.output;
  }
}

TEST_F(CkptTool, SuggestsWhatWasMeant) {
  expect_in(tool("consolidat x"), 2, "there is no verb 'consolidat'; did you mean consolidate?");
  expect_in(tool("consolidate x --outptu y"), 2, "there is no flag --outptu; did you mean --output?");
  expect_in(tool("verify"), 2, "the CKPT is missing");
  expect_in(tool("verify a b"), 2, "there are more words than it takes");
  expect_in(tool("consolidate x"), 2, "--output PATH is missing");
  expect_in(tool("consolidate x --output y --dtype fp8"), 2, "--dtype is bf16 or fp32, not 'fp8'");
  expect_in(tool("verify /nowhere"), 2, "there is no checkpoint directory /nowhere");
}

TEST_F(CkptTool, RefusesFlagsWithoutEffect) {
  save_sample("1", 10);
  expect_in(tool("inspect " + path("1") + " --values 3"), 2, "--values is of the tensor that --tensor names");
  expect_in(tool("inspect " + path("1") + " --tensor classifier.bias --values -1"), 2, "--values must be at least 0");
  expect_in(tool("inspect " + path("1") + " --tensor ''"), 2, "has no tensor ''");
  expect_in(tool("verify " + path("1") + " --threads 1000000"), 2, "--threads 1000000 must be from 1 to 1024");
  expect_in(tool("verify " + path("1") + " --threads 1024"), 0, "is whole");
  const std::string weights = scratch_.file("model.safetensors");
  tool("consolidate " + path("1") + " --output " + weights);
  const std::string import = " --output x --epochs 1 --model_config " TESSERA_TEST_DATA "/deepspeed/model.json";
  expect_in(tool("import " + weights + " --weights_only" + import), 2, "holds nothing but weights in any case");
  expect_in(tool("import " + weights + " --seed -1" + import), 2, "--seed -1 must be a whole number from 0");
}

TEST_F(CkptTool, AnswersWholeOrNot) {
  save_sample("1", 10);
  expect_in(test::run_command("(" TESSERA_CKPT " ls " + scratch_.file("run") + " >/dev/full)"), 1,
            "cannot write to stdout: No space left on device");
  expect_in(tool("ls help"), 2, "there is no directory help");
  std::filesystem::create_directory(path("\xff"));
  const auto listed = json::parse(tool("ls --json --quiet " + scratch_.file("run")).output);
  EXPECT_EQ(listed[0]["name"], "checkpoint-\uFFFD");
}

TEST_F(CkptTool, ListsARun) {
  save_sample("1", 10);
  save_sample("2", 20);
  std::filesystem::resize_file(path("1") + "/state.h5", 10);
  const auto listed = tool("ls " + scratch_.file("run"));
  expect_in(listed, 0, "checkpoint-1  ");
  expect_in(listed, 0, "not whole");
  expect_in(listed, 0, "whole, latest");
  const auto entries = json::parse(tool("ls --json --quiet " + scratch_.file("run")).output);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_FALSE(entries[0]["whole"]);
  EXPECT_EQ(entries[1]["global_step"], 20);
  EXPECT_TRUE(entries[1]["latest"]);
  expect_in(tool("ls " + scratch_.file("none")), 2, "there is no directory");
}

TEST_F(CkptTool, InspectsACheckpoint) {
  save_sample("1", 10);
  const auto all = tool("inspect " + path("1"));
  expect_in(all, 0, "weight bf16, master exp_avg exp_avg_sq fp32");
  expect_in(all, 0, "1,024 parameters in 5 tensors");
  const auto one =
      json::parse(tool("inspect " + path("1") + " --tensor classifier.bias/master --values 2 --json").output);
  ASSERT_EQ(one["tensors"].size(), 1U);
  const json& tensor = one["tensors"][0];
  const double first = test::sample_value({"classifier.bias", state::Component::kMaster, {}, {}}, 0, 0);
  EXPECT_EQ(tensor["values"].size(), 2U);
  EXPECT_EQ(tensor["values"][0].get<double>(), first);
  EXPECT_EQ(tensor["min"].get<double>(), first);
  EXPECT_NEAR(tensor["max"].get<double>(), first + 9, 1e-6);
  EXPECT_NEAR(tensor["mean"].get<double>(), first + 4.5, 1e-6);
  EXPECT_NEAR(tensor["std"].get<double>(), std::sqrt(8.25), 1e-6);
  EXPECT_EQ(one["run"]["global_step"], 10);
  expect_in(tool("inspect " + path("1") + " --tensor clasifier.bias"), 2, "did you mean classifier.bias?");
}

TEST_F(CkptTool, VerifiesACheckpoint) {
  save_sample("1", 10);
  expect_in(tool("verify " + path("1")), 0, "is whole: 20 tensors");
  std::string state = test::read_file(path("1") + "/state.h5");
  state.back() = static_cast<char>(state.back() ^ 1);
  state[state.size() / 2] = static_cast<char>(state[state.size() / 2] ^ 1);
  test::write_file(path("1") + "/state.h5", state);
  expect_in(tool("verify " + path("1")), 2, "is damaged");
  const auto verdict = json::parse(tool("verify --json --quiet " + path("1")).output);
  EXPECT_FALSE(verdict["whole"]);
  EXPECT_GE(verdict["problems"].size(), 1U);
}

TEST_F(CkptTool, ConsolidatesWithoutALauncher) {
  save_sample("1", 10);
  const std::string output = scratch_.file("out/model.safetensors");
  expect_in(tool("consolidate " + path("1") + " --output " + output), 0, "1,024 parameters in 5 tensors");
  EXPECT_TRUE(std::filesystem::exists(output));
  EXPECT_TRUE(std::filesystem::exists(scratch_.file("out/config.json")));
  expect_in(tool("consolidate " + path("1") + " --output " + scratch_.file("model.bin")), 2,
            "a path that ends in .safetensors");
}

// What would spoil the checkpoint itself, or be found out after the work.
TEST_F(CkptTool, RefusesAnOutputThatCannotBe) {
  save_sample("1", 10);
  const std::string words = "consolidate " + path("1") + " --output ";
  expect_in(tool(words + path("1") + "/state.h5"), 2, "would lie inside of a checkpoint");
  expect_in(tool("verify " + path("1")), 0, "is whole");
  for (const std::string name : {"m.safetensors", "m.pth", "m.h5"}) {
    std::filesystem::create_directory(scratch_.file(name));
    expect_in(tool(words + scratch_.file(name)), 2, "is a directory; name a file");
  }
  test::write_file(scratch_.file("file"), "");
  for (const std::string& place : {scratch_.file("file/m.pth"), std::string("/proc/m.pth")}) {
    expect_in(tool(words + place), 2, place + " cannot be written: ");
  }
  const std::string import = "import " TESSERA_TEST_DATA "/deepspeed/ddp.pth --model_config " TESSERA_TEST_DATA
                             "/deepspeed/model.json --output ";
  expect_in(tool(import + scratch_.file("file")), 2, "file cannot be written: ");
  expect_in(tool(import + scratch_.file("new") + " --name 'a b'"), 2, "'a b' cannot be the name of a checkpoint");
}

TEST_F(CkptTool, ConsolidatesInBoundedMemory) {
  constexpr std::int64_t kMostBytes = std::int64_t{96} << 20U;
  // 256 MiB in bf16 in one tensor: what is held whole anywhere is far too much.
  const std::string checkpoint =
      test::write_sparse_checkpoint(scratch_.file("run"), {{"classifier.weight", {32768, 4096}}}, {});
  for (const std::string name : {"m.safetensors", "hub", "m.pth", "m.h5"}) {
    const std::string output = scratch_.file(name);
    const auto run = test::run_measured({TESSERA_CKPT, "consolidate", checkpoint, "--output", output, "--quiet"}, "");
    EXPECT_EQ(run.status, 0) << name;
    EXPECT_LT(run.peak_bytes, kMostBytes) << name;
    std::filesystem::remove_all(output);
  }
}

TEST_F(CkptTool, ComparesCheckpointsAndWeights) {
  save_sample("1", 10);
  save_sample("2", 20);
  expect_in(tool("diff " + path("1") + " " + path("2")), 0, "20 tensors are the same, 0 differ");
  for (const std::string dtype : {"bf16", "fp32"}) {
    const std::string weights = scratch_.file(dtype + ".safetensors");
    tool("consolidate " + path("1") + " --output " + weights + " --dtype " + dtype);
    expect_in(tool("diff " + path("2") + " " + weights), 0, "5 tensors are the same, 0 differ");
    expect_in(tool("diff " + weights + " " + path("2")), 0, "5 tensors are the same, 0 differ");
  }
  const std::string pair = scratch_.file("bf16.safetensors") + " " + scratch_.file("fp32.safetensors");
  const auto rounded = tool("diff --json --quiet " + pair);
  EXPECT_EQ(rounded.status, 1) << rounded.output;
  const auto differences = json::parse(rounded.output);
  // The values of q_norm are small enough to be exact in bf16.
  EXPECT_EQ(differences["different"].size(), 4U) << rounded.output;
  EXPECT_EQ(differences["same_tensors"], 1) << rounded.output;
  EXPECT_LT(differences["different"][0]["relative"], 1.0 / 256);
  EXPECT_GT(differences["different"][0]["relative"], 0);
  expect_in(tool("diff " + path("1") + " " + scratch_.file("none.safetensors")), 2, "No such file");
}

// Not taken for a directory of weights that lacks its files.
TEST_F(CkptTool, KnowsACheckpointWithoutItsManifest) {
  save_sample("1", 10);
  std::filesystem::remove(path("1") + "/manifest.json");
  const std::string why = "has no manifest.json: it is not a checkpoint, or not a whole one";
  expect_in(tool("diff " + path("1") + " " + path("1")), 2, why);
  expect_in(tool("verify " + path("1")), 2, why);
  expect_in(tool("import " + path("1") + " --output x"), 2, "is a checkpoint of this program already");
}

TEST_F(CkptTool, PrunesARun) {
  for (int step = 1; step <= 3; ++step) {
    save_sample(std::to_string(step), step);
  }
  expect_in(tool("prune " + scratch_.file("run") + " --keep_last 2 --dry-run"), 0, "would remove checkpoint-1");
  EXPECT_TRUE(std::filesystem::exists(path("1")));
  expect_in(tool("prune " + scratch_.file("run") + " --keep_last 2"), 0, "removed checkpoint-1");
  EXPECT_FALSE(std::filesystem::exists(path("1")));
  expect_in(tool("prune " + scratch_.file("run")), 2, "--keep_last N is missing");
}

TEST_F(CkptTool, ImportsFromDeepSpeed) {
  const std::string data = TESSERA_TEST_DATA "/deepspeed/";
  const std::string source = "import " + data + "zero2 --output " + scratch_.file("run");
  const auto asked = tool(source);
  for (const std::string flag : {"--model_config", "--dataset", "--input_size", "--epochs"}) {
    expect_in(asked, 2, "\n  " + flag);
  }
  EXPECT_EQ(asked.output.find("--train_batch_size"), std::string::npos) << asked.output;
  const std::string words = source + " --model_config " + data + "model.json --input_size 28 --epochs 12 ";
  expect_in(tool(words + "--dataset imagefolder"), 2, "--dataset_size");
  expect_in(tool(words + "--dataset cifar100"), 2, "--dataset cifar100 has 100 classes, and the weights are for 10");
  expect_in(tool(words + "--dataset cifra10"), 2, "cifar10");
  expect_in(tool(words + "--dataset cifar10 --lr 1 --blr 1"), 2, "--lr and --blr say the same thing");
  expect_in(tool(words + "--dataset cifar10 --dataset_size 8"), 0, "epoch 3 and 0 of its 1 steps");
  expect_in(tool(words + "--dataset cifar10"), 2, "is there already; give another --name");
  const auto second = json::parse(tool(words + "--dataset cifar10 --name second --json --quiet").output);
  EXPECT_EQ(second["global_step"], 3);
  EXPECT_EQ(second["step_in_epoch"], 3);
  EXPECT_TRUE(second["optimizer_state"]);
  const auto inspected = json::parse(tool("inspect " + path("second") + " --json").output);
  EXPECT_EQ(inspected["run"]["effective_batch"], 8);
  EXPECT_EQ(inspected["run"]["steps_per_epoch"], 50000 / 8);
  EXPECT_EQ(inspected["run"]["peak_lr"], 0.01);
  expect_in(tool("diff " + path("imported") + " " + path("second")), 0, "64 tensors are the same, 0 differ");
}

TEST_F(CkptTool, ImportsWeights) {
  const std::string data = TESSERA_TEST_DATA "/deepspeed/";
  const std::string words = "import " + data + "ddp.pth --output " + scratch_.file("run");
  expect_in(tool(words), 2, "--model_config");
  expect_in(tool(words + " --model_config " + data + "model.json"), 0, "weights alone, widened to fp32");
  const auto inspected = json::parse(tool("inspect " + path("imported") + " --json").output);
  EXPECT_EQ(inspected["run"]["global_step"], 0);
  EXPECT_EQ(inspected["run"]["dataset"], "cifar10");
  // What we wrote ourselves says of its run all that there is to know, but for how long it is to go on.
  tool("consolidate " + path("imported") + " --output " + scratch_.file("m/model.safetensors"));
  const std::string again =
      "import " + scratch_.file("m/model.safetensors") + " --name again --output " + scratch_.file("run");
  expect_in(tool(again), 2, "--epochs");
  expect_in(tool(again + " --epochs 20"), 0, "go on with: tessera finetune");
  expect_in(tool("diff " + path("imported") + " " + path("again")), 0, "48 tensors are the same, 0 differ");
  expect_in(tool("import " + data + "model.json --output x"), 2, "is no file of weights");
  expect_in(tool("import " + data + "zero2"), 2, "--output RUN_DIR is missing");
}

}  // namespace
}  // namespace tessera
