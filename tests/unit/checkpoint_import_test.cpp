// Checkpoints that DeepSpeed wrote (tests/python/make_deepspeed_fixtures.py), against what DeepSpeed says of them.
#include "support/scratch.hpp"
#include "support/stored_zip.hpp"
#include "tessera/checkpoint/consolidate.hpp"
#include "tessera/checkpoint/import.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/config/model_shape.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/convert.hpp"
#include "tessera/io/safetensors.hpp"
#include "tessera/model/param_table.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace tessera::checkpoint {
namespace {

namespace fs = std::filesystem;
using core::DType;
using state::Component;
using test::message_of;

const std::string kData = TESSERA_TEST_DATA "/deepspeed/";
constexpr const char* kRank1 = "/checkpoint-0/bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt";

void expect_in(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in\n" << text;
}

std::vector<float> values_of(const Reader& reader, const std::string& parameter, Component component) {
  const StoredTensor* const tensor = reader.find(parameter, component);
  if (tensor == nullptr) {
    return {};
  }
  const auto count = static_cast<std::size_t>(tensor->num_elements());
  std::vector<std::byte> stored(count * core::size_of(tensor->info.dtype));
  reader.read(*tensor, 0, tensor->num_elements(), stored.data());
  std::vector<float> values(count);
  io::convert_elements(tensor->info.dtype, stored.data(), DType::kFloat32, values.data(), count);
  return values;
}

class ImportTest : public testing::Test {
 protected:
  ImportRequest request(const std::string& name = "imported") const {
    ImportRequest request;
    request.run_dir = scratch_.file("run");
    request.name = name;
    const auto shape = config::read_model_config(kData + "model.json");
    for (const model::Param& param : model::build_param_table(shape, {28, 4, 10}).params) {
      request.parameters.push_back({param.name, param.shape});
    }
    request.run.num_classes = 10;
    request.run.dataset = "cifar10";
    return request;
  }
  ImportResult import(const std::string& path, bool weights_only = false, const std::string& name = "imported") const {
    return import_checkpoint(ImportSource(path, {weights_only}), request(name));
  }
  std::string refusal(const std::string& path, bool weights_only = false) const {
    const std::string message = message_of<core::UserError>([&] { (void)import(path, weights_only); });
    EXPECT_FALSE(fs::exists(scratch_.file("run/checkpoint-imported"))) << message;
    return message;
  }
  // A copy of a case that a test may spoil.
  std::string copy(const std::string& name) const {
    std::string path = scratch_.file(name);
    fs::copy(kData + name, path, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    return path;
  }

  test::ScratchDirectory scratch_;
};

TEST_F(ImportTest, AgreesWithDeepSpeedBitForBit) {
  for (const std::string name : {"zero2", "zero1_groups", "zero2_round_robin", "zero1_fp32_gradients"}) {
    SCOPED_TRACE(name);
    const ImportSource source(kData + name, {});
    EXPECT_TRUE(source.facts().has_optimizer);
    EXPECT_EQ(source.facts().global_step, 3);
    EXPECT_EQ(source.facts().optimizer_step, 3);
    EXPECT_EQ(source.facts().epochs_done, 1);
    EXPECT_EQ(source.facts().effective_batch, name == "zero1_groups" ? 12 : 8);
    EXPECT_EQ(source.facts().zero_stage, name.substr(0, 5) == "zero2" ? 2 : 1);
    const ImportResult result = import_checkpoint(source, request(name));
    EXPECT_EQ(result.passed_over, std::vector<std::string>{"qwen.embed_tokens.weight"});
    const Reader reader(result.path);
    EXPECT_TRUE(reader.verify().empty());
    const io::SafetensorsReader expected(kData + name + ".safetensors");
    for (const NamedShape& parameter : request().parameters) {
      for (const Component component :
           {Component::kWeight, Component::kMaster, Component::kExpAvg, Component::kExpAvgSq}) {
        const std::string full = parameter.name + "/" + state::name_of(component);
        const io::SafetensorsTensor* const tensor = expected.find(full);
        ASSERT_NE(tensor, nullptr) << full;
        std::vector<float> values(static_cast<std::size_t>(tensor->num_elements));
        io::read_elements(*tensor, 0, tensor->num_elements, DType::kFloat32, values.data());
        EXPECT_EQ(values_of(reader, parameter.name, component), values) << full;
        ASSERT_NE(reader.find(parameter.name, component), nullptr) << full;
        EXPECT_EQ(reader.find(parameter.name, component)->info.shape, tensor->shape) << full;
      }
    }
    EXPECT_EQ(reader.tensors().size(), 4 * request().parameters.size());
  }
}

TEST_F(ImportTest, TakesWeightsAlone) {
  const ImportResult result = import(kData + "zero2", true);
  const Reader reader(result.path);
  const io::SafetensorsReader expected(kData + "zero2.safetensors");
  for (const NamedShape& parameter : request().parameters) {
    const io::SafetensorsTensor& tensor = *expected.find(parameter.name + "/weight");
    std::vector<float> values(static_cast<std::size_t>(tensor.num_elements));
    io::read_elements(tensor, 0, tensor.num_elements, DType::kFloat32, values.data());
    EXPECT_EQ(values_of(reader, parameter.name, Component::kWeight), values) << parameter.name;
    EXPECT_EQ(values_of(reader, parameter.name, Component::kExpAvg), std::vector<float>(values.size()));
    EXPECT_EQ(values_of(reader, parameter.name, Component::kExpAvgSq), std::vector<float>(values.size()));
  }
}

TEST_F(ImportTest, TakesFilesOfTorchAndSafetensors) {
  const ImportSource source(kData + "ddp.pth", {});
  EXPECT_FALSE(source.facts().has_optimizer);
  EXPECT_EQ(source.facts().dataset, "cifar10");
  EXPECT_EQ(source.facts().input_size, 28);
  EXPECT_EQ(source.facts().effective_batch, 8);
  EXPECT_EQ(source.facts().epochs, 100);
  EXPECT_EQ(source.facts().peak_lr, 3.125e-5);
  const Reader first(import_checkpoint(source, request("first")).path);
  // What we consolidate comes back as it was.
  for (const std::string ending : {".pth", ".safetensors"}) {
    ConsolidateRequest consolidated;
    consolidated.output = scratch_.file("model" + ending);
    consolidate(first, consolidated);
    const Reader second(import(consolidated.output, false, "again" + ending).path);
    for (const NamedShape& parameter : request().parameters) {
      EXPECT_EQ(values_of(second, parameter.name, Component::kWeight),
                values_of(first, parameter.name, Component::kWeight));
    }
  }
  const ImportSource safetensors(scratch_.file("model.safetensors"), {});
  EXPECT_EQ(safetensors.facts().run->dataset, "cifar10");
  ImportRequest unchecked = request("unchecked");
  unchecked.ignore_checksums = true;
  expect_in(message_of<core::UserError>([&] { import_checkpoint(safetensors, unchecked); }), "has no checksums");
}

TEST_F(ImportTest, RefusesPartsThatDoNotBelongTogether) {
  const std::string one = copy("zero2");
  fs::remove(one + kRank1);
  expect_in(refusal(one), "has the files of 1 ranks, and says that 2 wrote it");
  const std::string other = copy("zero1_fp32_gradients");
  fs::copy(other + kRank1, one + kRank1);
  expect_in(refusal(one), "the partition of group 0 has 544 elements, and that of rank 0 has");
  fs::remove(one + kRank1);
  fs::copy(one + "/checkpoint-0/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt", one + kRank1);
  expect_in(refusal(one), "which does not round to it: its files are of different steps");
  fs::remove(one + "/checkpoint-0/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt");
  expect_in(refusal(one), "has no file of rank 0");
  fs::remove(one + kRank1);
  expect_in(refusal(one), "no optimizer state; --weights_only imports the weights alone");
}

TEST_F(ImportTest, RefusesOtherKindsOfCheckpoints) {
  const std::string stage3 = copy("zero2");
  fs::rename(stage3 + "/checkpoint-0/mp_rank_00_model_states.pt",
             stage3 + "/checkpoint-0/zero_pp_rank_0_mp_rank_00_model_states.pt");
  expect_in(refusal(stage3), "not those of ZeRO-3");
  expect_in(refusal(scratch_.file("nowhere")), "there is no ");
  expect_in(refusal(kData + "model.json"), "is no file of weights");
  import(kData + "zero2", false, "mine");
  expect_in(refusal(scratch_.file("run/checkpoint-mine")), "is a checkpoint of this program already");
}

TEST_F(ImportTest, RefusesDamage) {
  const std::string path = copy("zero2") + kRank1;
  std::string bytes = test::read_file(path);
  const std::string whole = bytes;
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  test::write_file(path, bytes);
  expect_in(refusal(scratch_.file("zero2")), "are not those that were saved");
  test::write_file(path, whole.substr(0, whole.size() / 2));
  expect_in(refusal(scratch_.file("zero2")), "is no zip archive, or its end is missing");
}

TEST_F(ImportTest, RefusesAnotherModel) {
  ImportRequest other = request();
  other.parameters[0].shape[0] = 16;
  other.parameters.push_back({"qwen.layers.1.input_layernorm.weight", {8}});
  other.parameters.erase(other.parameters.begin() + 1);
  const ImportSource source(kData + "zero2", {});
  const std::string message = message_of<core::UserError>([&] { import_checkpoint(source, other); });
  expect_in(message, "of another shape: patch_embed.proj.weight is [8, 3, 4, 4], the model's is [16, 3, 4, 4]");
  expect_in(message, "missing: qwen.layers.1.input_layernorm.weight");
  expect_in(message, "unexpected: patch_embed.proj.bias");
}

// What the fuzzer starts from, and what it once found.
TEST_F(ImportTest, SurvivesTheFuzzersCorpus) {
  int refused = 0;
  int read = 0;
  for (const auto& entry : fs::directory_iterator(TESSERA_TEST_DATA "/fuzz/hdf5")) {
    fs::copy_file(entry.path(), scratch_.file("fuzz.h5"), fs::copy_options::overwrite_existing);
    try {
      const ImportSource source(scratch_.file("fuzz.h5"), {});
      ++read;
    } catch (const core::UserError&) {
      ++refused;
    }
  }
  EXPECT_GE(read, 1);
  EXPECT_GE(refused, 5);
}

// The fuzzer's find that HDF5 1.10.8 itself crashes on: the message says so where it does, and other versions refuse
// it.
TEST_F(ImportTest, OutlivesACrashOfHdf5) {
  fs::copy_file(TESSERA_TEST_DATA "/fuzz/hdf5/null_node", scratch_.file("crash.h5"));
  expect_in(refusal(scratch_.file("crash.h5")), "crash.h5");
}

TEST_F(ImportTest, RunsNoPickle) {
  const std::string owned = scratch_.file("owned");
  const std::string command = "touch " + owned;
  const std::string pickle = std::string("\x80\x02") + "cos\nsystem\n(X" + static_cast<char>(command.size()) +
                             std::string(3, '\0') + command + "tR.";
  test::write_file(scratch_.file("evil.pth"), test::stored_zip({{"archive/data.pkl", pickle}}));
  expect_in(refusal(scratch_.file("evil.pth")), "the pickle asks for os.system");
  EXPECT_FALSE(fs::exists(owned));
}

}  // namespace
}  // namespace tessera::checkpoint
