#include "support/sample_state.hpp"
#include "support/scratch.hpp"
#include "tessera/checkpoint/consolidate.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/checkpoint/save.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/safetensors.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

namespace tessera::checkpoint {
namespace {

using core::DType;
using state::Component;

class Consolidate : public testing::Test {
 protected:
  [[nodiscard]] Reader save_sample(DType weight, const std::string& name = "1") const {
    const test::SampleState state(0, 1, {.weight = weight});
    SaveRequest request;
    request.run_dir = scratch_.file("run");
    request.name = name;
    request.state = state.description();
    request.run = test::sample_run(17);
    return Reader(save(request).path);
  }

  ConsolidateResult consolidate_to(const Reader& reader, const std::string& name,
                                   std::optional<DType> dtype = std::nullopt) const {
    ConsolidateRequest request;
    request.output = scratch_.file(name);
    request.dtype = dtype;
    return consolidate(reader, request);
  }

  // Every tensor of the file has the bytes of `component` of the checkpoint.
  void expect_bytes_of(const Reader& reader, const std::string& name, Component component) const {
    const io::SafetensorsReader file(scratch_.file(name));
    EXPECT_EQ(file.tensors().size(), 5U);
    for (const io::SafetensorsTensor& tensor : file.tensors()) {
      const StoredTensor* const stored = reader.find(tensor.name, component);
      ASSERT_NE(stored, nullptr) << tensor.name;
      EXPECT_EQ(tensor.shape, stored->info.shape);
      EXPECT_EQ(tensor.element_type(), stored->info.dtype);
      std::vector<std::byte> bytes(static_cast<std::size_t>(stored->num_bytes()));
      reader.read(*stored, 0, stored->num_elements(), bytes.data());
      ASSERT_EQ(tensor.bytes.size(), bytes.size());
      EXPECT_EQ(std::memcmp(tensor.bytes.data(), bytes.data(), bytes.size()), 0) << tensor.name;
    }
  }

  // As an element of a bf16 weight is printed.
  static std::string rounded(const std::string& parameter, std::int64_t element) {
    const float value = test::sample_value({parameter, Component::kWeight, DType::kBFloat16, {}}, element, 0);
    return fmt::format("{:.6g}", core::bf16_to_float(core::float_to_bf16(value)));
  }

  test::ScratchDirectory scratch_;
};

TEST_F(Consolidate, CopiesTheTrainedWeightsBitForBit) {
  const Reader reader = save_sample(DType::kBFloat16);
  const ConsolidateResult result = consolidate_to(reader, "out/model.safetensors");
  EXPECT_EQ(result.num_tensors, 5);
  EXPECT_EQ(result.num_parameters, 7 * 3 * 4 * 5 + 24 * 17 + 16 + 170 + 10);
  EXPECT_EQ(static_cast<std::uintmax_t>(result.bytes),
            std::filesystem::file_size(scratch_.file("out/model.safetensors")));
  expect_bytes_of(reader, "out/model.safetensors", Component::kWeight);
  EXPECT_EQ(test::list_directory(scratch_.file("out")), (std::vector<std::string>{"config.json", "model.safetensors"}));
  EXPECT_EQ(test::read_file(scratch_.file("out/config.json")), reader.run_state().model_config_json);
  EXPECT_EQ(io::SafetensorsReader(scratch_.file("out/model.safetensors")).metadata().at("format"), "pt");
}

TEST_F(Consolidate, TakesFp32FromTheMasters) {
  const Reader reader = save_sample(DType::kBFloat16);
  consolidate_to(reader, "model.safetensors", DType::kFloat32);
  expect_bytes_of(reader, "model.safetensors", Component::kMaster);
}

TEST_F(Consolidate, RoundsFp32WeightsToBf16) {
  const Reader fp32 = save_sample(DType::kFloat32, "fp32");
  consolidate_to(fp32, "same.safetensors");
  expect_bytes_of(fp32, "same.safetensors", Component::kWeight);
  consolidate_to(fp32, "rounded.safetensors", DType::kBFloat16);
  // The sample's bf16 weights are its fp32 ones, rounded.
  const Reader bf16 = save_sample(DType::kBFloat16, "bf16");
  expect_bytes_of(bf16, "rounded.safetensors", Component::kWeight);
}

TEST_F(Consolidate, ReplacesAnOutputByAWholeOneOnly) {
  const Reader reader = save_sample(DType::kBFloat16);
  consolidate_to(reader, "model.safetensors");
  const std::string before = test::read_file(scratch_.file("model.safetensors"));
  const StoredTensor* const last = reader.find("classifier.bias", Component::kMaster);
  std::string state = test::read_file(reader.path() + "/state.h5");
  state[static_cast<std::size_t>(last->offset)] ^= 1;
  test::write_file(reader.path() + "/state.h5", state);
  const Reader damaged(reader.path());
  const auto message =
      test::message_of<core::UserError>([&] { consolidate_to(damaged, "model.safetensors", DType::kFloat32); });
  EXPECT_NE(message.find("classifier.bias/master, elements 0 to 10"), std::string::npos) << message;
  EXPECT_TRUE(test::read_file(scratch_.file("model.safetensors")) == before);
  EXPECT_EQ(test::list_directory(scratch_.path()),
            (std::vector<std::string>{"config.json", "model.safetensors", "run"}));
}

TEST_F(Consolidate, LeavesAnotherModelsConfigurationAlone) {
  const Reader reader = save_sample(DType::kBFloat16);
  test::write_file(scratch_.file("config.json"), "{\"somebody\": \"else's\"}");
  const auto message = test::message_of<core::UserError>([&] { consolidate_to(reader, "model.safetensors"); });
  EXPECT_NE(message.find("config.json is there already"), std::string::npos) << message;
  EXPECT_FALSE(std::filesystem::exists(scratch_.file("model.safetensors")));
}

TEST_F(Consolidate, WritesAHuggingFaceDirectory) {
  const Reader reader = save_sample(DType::kBFloat16);
  ConsolidateRequest request;
  request.output = scratch_.file("out/model/");
  request.max_shard_bytes = 1000;  // of 840, 816, 32, 340 and 20
  const ConsolidateResult result = consolidate(reader, request);
  EXPECT_EQ(test::list_directory(scratch_.file("out")), std::vector<std::string>{"model"});
  EXPECT_EQ(
      test::list_directory(scratch_.file("out/model")),
      (std::vector<std::string>{"config.json", "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                                "model-00003-of-00003.safetensors", "model.safetensors.index.json"}));
  EXPECT_EQ(result.config_path, scratch_.file("out/model/config.json"));
  expect_bytes_of(reader, "out/model", Component::kWeight);
  EXPECT_NE(test::read_file(scratch_.file("out/model/model.safetensors.index.json")).find("\"total_size\": 2048"),
            std::string::npos);
  const auto again = test::message_of<core::UserError>([&] { consolidate(reader, request); });
  EXPECT_NE(again.find("exists and is not an empty directory"), std::string::npos) << again;
}

TEST_F(Consolidate, WritesOnePlainHdf5) {
  const Reader reader = save_sample(DType::kBFloat16);
  consolidate_to(reader, "model.h5");
  if (!test::python_has("h5py")) {
    GTEST_SKIP() << "python has no module named h5py (pip install h5py)";
  }
  const auto result = test::run_command(
      test::python() +
      " -c 'import h5py, sys; f = h5py.File(sys.argv[1]); print(len(f), f[\"classifier.bias\"].shape, "
      "*f[\"classifier.bias\"][:2])' " +
      scratch_.file("model.h5"));
  EXPECT_EQ(result.output,
            fmt::format("5 (10,) {} {}\n", rounded("classifier.bias", 0), rounded("classifier.bias", 1)));
}

TEST_F(Consolidate, WritesAPthThatIsAWholeArchive) {
  const Reader reader = save_sample(DType::kBFloat16);
  consolidate_to(reader, "model.pth");
  const auto result = test::run_command(
      test::python() +
      " -c 'import sys, zipfile; f = zipfile.ZipFile(sys.argv[1]); print(f.testzip(), len(f.namelist()), "
      "[i.header_offset for i in f.infolist()][0])' " +
      scratch_.file("model.pth"));
  EXPECT_EQ(result.output, "None 8 0\n");
}

TEST_F(Consolidate, WritesAPthThatTorchOpens) {
  if (!test::python_has("torch")) {
    GTEST_SKIP() << "python has no module named torch that can be loaded";
  }
  const Reader reader = save_sample(DType::kBFloat16);
  consolidate_to(reader, "model.pth");
  ConsolidateRequest request;
  request.output = scratch_.file("bare.pth");
  request.dtype = DType::kFloat32;
  request.weights_only = true;
  consolidate(reader, request);
  const auto read = test::run_command(test::python() + " " TESSERA_TEST_PYTHON "/read_pth.py " +
                                      scratch_.file("model.pth") + " " + request.output);
  const std::size_t second = read.output.find("file bare.pth\n");
  ASSERT_NE(second, std::string::npos) << read.output;
  const std::string whole = read.output.substr(0, second);
  const std::string bare = read.output.substr(second);
  EXPECT_NE(whole.find("epoch 3\n"), std::string::npos) << whole;
  const std::string line = fmt::format("classifier.weight bfloat16 10x17 {} {}\n", rounded("classifier.weight", 0),
                                       rounded("classifier.weight", 1));
  EXPECT_NE(whole.find(line), std::string::npos) << line << whole;
  EXPECT_EQ(bare.find("epoch"), std::string::npos);
  const float first = test::sample_value({"classifier.bias", Component::kMaster, {}, {}}, 0, 0);
  EXPECT_NE(bare.find(fmt::format("classifier.bias float32 10 {:.6g} ", first)), std::string::npos) << bare;
}

TEST_F(Consolidate, RefusesWhatHasNoEffectOrNoMeaning) {
  const Reader reader = save_sample(DType::kBFloat16);
  const auto refusal = [&](const std::string& output, bool weights_only, std::optional<std::int64_t> shard) {
    ConsolidateRequest request;
    request.output = output;
    request.weights_only = weights_only;
    request.max_shard_bytes = shard;
    return test::message_of<core::UserError>([&] { consolidate(reader, request); });
  };
  EXPECT_NE(refusal(scratch_.file("m.bin"), false, {}).find("ends in .bin, which is not written here"),
            std::string::npos);
  EXPECT_NE(refusal(scratch_.file("m.h5"), true, {}).find("weights_only is for .pth files"), std::string::npos);
  EXPECT_NE(refusal(scratch_.file("m.pth"), false, 1000).find("shards have a largest size"), std::string::npos);
  EXPECT_NE(refusal("", false, {}).find("is empty"), std::string::npos);
}

TEST_F(Consolidate, IsReadByThePythonPackage) {
  if (!test::python_has("safetensors")) {
    GTEST_SKIP() << "python3 has no module named safetensors (pip install safetensors)";
  }
  const Reader reader = save_sample(DType::kBFloat16);
  consolidate_to(reader, "model.safetensors");
  const auto result = test::run_command(test::python() + " " TESSERA_TEST_PYTHON "/read_safetensors.py " +
                                        scratch_.file("model.safetensors"));
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_NE(result.output.find("qwen.layers.0.self_attn.q_proj.weight BF16 24x17 "), std::string::npos)
      << result.output;
}

}  // namespace
}  // namespace tessera::checkpoint
