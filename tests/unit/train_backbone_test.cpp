// What a linear probe freezes: the trained weights, patch embedding and all, from every kind of file.
#include "support/small_run.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/core/error.hpp"
#include "tessera/model/pretrained.hpp"
#include "train/frozen_backbone.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>

namespace tessera::train {
namespace {

class BackboneTest : public testing::Test {
 protected:
  BackboneTest() : log_(core::Log::Level::kSilent) {
    test::write_small_dataset(file("data"), 80, 20);
    const auto run = test::finetune(1, file("data"), file("run"), "--epochs 1 --batch_size 20");
    EXPECT_EQ(run.status, 0) << run.output;
    config_.model.shape = config::read_model_config(file("data/model.json"));
    config_.data.input_size = 28;
    config_.data.patch_size = 7;
    config_.runtime.device = config::DeviceChoice::kCpu;
    platform_ = open_platform(config_.runtime, topology::Group::self(), log_);
  }
  [[nodiscard]] std::string file(const std::string& name) const { return scratch_.file(name); }
  [[nodiscard]] std::string checkpoint() const { return file("run/checkpoint-final"); }
  [[nodiscard]] FrozenBackbone load(const std::string& path) const {
    return {config_, /*num_classes=*/3, {path, at::kFloat, 0}, platform_, log_};
  }

  test::ScratchDirectory scratch_;
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
