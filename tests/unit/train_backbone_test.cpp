// What a linear probe freezes: the trained weights, patch embedding and all, from every kind of file.
#include "support/local_parameters.hpp"
#include "support/small_run.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/safetensors_writer.hpp"
#include "tessera/model/pretrained.hpp"
#include "train/frozen_backbone.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <span>
#include <string>

namespace tessera::train {
namespace {

class BackboneTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new test::ScratchDirectory;
    test::write_small_dataset(file("data"), 80, 20);
    const auto run = test::finetune(1, file("data"), file("run"), "--epochs 1 --batch_size 20");
    ASSERT_EQ(run.status, 0) << run.output;
  }
  static void TearDownTestSuite() { delete scratch_; }

  BackboneTest() : log_(core::Log::Level::kSilent) {
    config_.model.shape = config::read_model_config(file("data/model.json"));
    config_.data.input_size = 28;
    config_.data.patch_size = 7;
    config_.runtime.device = config::DeviceChoice::kCpu;
    platform_ = open_platform(config_.runtime, topology::Group::self(), log_);
  }
  [[nodiscard]] static std::string file(const std::string& name) { return scratch_->file(name); }
  [[nodiscard]] static std::string checkpoint() { return file("run/checkpoint-final"); }
  [[nodiscard]] FrozenBackbone load(const std::string& path) const {
    return {config_, /*num_classes=*/3, {path, at::kFloat, 0}, platform_, log_};
  }

  static inline test::ScratchDirectory* scratch_ = nullptr;
  core::Log log_;
  config::RunConfig config_;
  Platform platform_;
};

TEST_F(BackboneTest, HasTheTrainedPatchEmbedding) {
  const checkpoint::Reader reader(checkpoint());
  const checkpoint::StoredTensor* const stored = reader.find("patch_embed.proj.weight", state::Component::kWeight);
  ASSERT_NE(stored, nullptr);
  at::Tensor trained = at::empty({stored->num_elements()}, at::kFloat);
  reader.read_floats(*stored, 0,
                     std::span(trained.mutable_data_ptr<float>(), static_cast<std::size_t>(trained.numel())));
  const auto patches = [](const FrozenBackbone& backbone) {
    return backbone.parts().frozen.weight(model::kPatchWeightUnit).view({-1}).clone();
  };
  const FrozenBackbone backbone = load(checkpoint());
  EXPECT_TRUE(at::equal(patches(backbone), trained));
  const FrozenBackbone random = load(kRandomBackbone);
  EXPECT_FALSE(at::equal(patches(random), trained)) << "training moved it";
  EXPECT_NE(random.crc32c(), backbone.crc32c());
  for (const std::string name : {"m.safetensors", "m.pth", "m.h5", "hub"}) {
    ASSERT_EQ(test::tessera_ckpt("consolidate " + checkpoint() + " --output " + file(name)).status, 0);
    const FrozenBackbone same = load(file(name));
    EXPECT_TRUE(at::equal(patches(same), trained)) << name;
    EXPECT_EQ(same.crc32c(), backbone.crc32c()) << name;
  }
}

TEST_F(BackboneTest, GivesTheFeaturesThatTransformersGives) {
  if (!test::python_has("transformers") || !test::python_has("torch")) {
    GTEST_SKIP() << "python3 has no modules named transformers and torch (jobs/consumers.sh)";
  }
  const auto written =
      test::tessera_ckpt("consolidate " + checkpoint() + " --max_shard_size 20KB --output " + file("sharded"));
  ASSERT_EQ(written.status, 0) << written.output;
  const at::Tensor images = at::randn({5, 3, 28, 28});
  io::SafetensorsWriter writer(file("images.safetensors"), {{"images", core::DType::kFloat32, {5, 3, 28, 28}}}, {});
  writer.write(std::as_bytes(std::span(images.const_data_ptr<float>(), static_cast<std::size_t>(images.numel()))));
  writer.finish();
  const auto peer = test::run_command(test::python() + " " TESSERA_TEST_PYTHON "/qwen3_features.py " + file("sharded") +
                                      " " + file("images.safetensors") + " " + file("features.safetensors"));
  ASSERT_EQ(peer.status, 0) << peer.output;
  const FrozenBackbone backbone = load(checkpoint());
  const at::Tensor features = backbone.parts().model.features(images, backbone.parts().frozen);
  const at::Tensor wanted = test::load_safetensors(file("features.safetensors")).at("features");
  EXPECT_LT(test::relative_error(features, wanted), 1e-5);
}

// A language model has none: it is random then, by the seed, and all else is the language model's.
TEST_F(BackboneTest, OfALanguageModelIsRandomInItsPatchEmbeddingAlone) {
  const std::string hub = std::string(TESSERA_TEST_DATA) + "/qwen3/hub_fp16";
  config_.model.shape = config::read_model_config(hub + "/config.json");
  const FrozenBackbone language = load(hub);
  const FrozenBackbone random = load(kRandomBackbone);
  const auto unit = [](const FrozenBackbone& backbone, int index) { return backbone.parts().frozen.weight(index); };
  EXPECT_TRUE(at::equal(unit(language, model::kPatchWeightUnit), unit(random, model::kPatchWeightUnit)));
  EXPECT_FALSE(at::equal(unit(language, model::block_units(0).qkv), unit(random, model::block_units(0).qkv)));
}

TEST_F(BackboneTest, OfAnotherShapeIsRefused) {
  config_.data.patch_size = 4;
  EXPECT_THROW(load(checkpoint()), core::AgreedUserError);
  config_.data.patch_size = 7;
  config_.model.shape.num_hidden_layers = 3;
  EXPECT_THROW(load(checkpoint()), core::AgreedUserError);
}

}  // namespace
}  // namespace tessera::train
