// Model shapes: the presets' numbers, reading config.json in both of transformers' forms, writing it.
#include "unit/config_support.hpp"

#include <functional>

namespace tessera::config {
namespace {

using nlohmann::json;

bool operator==(const ModelShape& a, const ModelShape& b) {
  return a.hidden_size == b.hidden_size && a.intermediate_size == b.intermediate_size &&
         a.num_hidden_layers == b.num_hidden_layers && a.num_attention_heads == b.num_attention_heads &&
         a.num_key_value_heads == b.num_key_value_heads && a.head_dim == b.head_dim && a.vocab_size == b.vocab_size &&
         a.max_position_embeddings == b.max_position_embeddings && a.rms_norm_eps == b.rms_norm_eps &&
         a.rope_theta == b.rope_theta && a.initializer_range == b.initializer_range &&
         a.tie_word_embeddings == b.tie_word_embeddings;
}

// As the published Qwen3-0.6B has it, in the form of transformers 4.
json published() {
  return json::parse(R"({
    "architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
    "bos_token_id": 151643, "eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu", "hidden_size": 1024,
    "initializer_range": 0.02, "intermediate_size": 3072, "max_position_embeddings": 40960, "max_window_layers": 28,
    "model_type": "qwen3", "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8,
    "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000, "sliding_window": null,
    "tie_word_embeddings": true, "torch_dtype": "bfloat16", "transformers_version": "4.51.0", "use_cache": true,
    "use_sliding_window": false, "vocab_size": 151936})");
}

ModelShape shape_of(const json& file) { return parse_model_config(file.dump(), "config.json"); }
std::string complaint_about(const json& file) {
  return message_of([&] { shape_of(file); });
}

TEST(ModelPresets, HaveThePublishedNumbers) {
  struct Row {
    const char* name;
    std::int64_t hidden, intermediate, layers, heads, key_value_heads;
    bool tied;
  };
  for (const Row& row :
       {Row{"qwen3-0.6b", 1024, 3072, 28, 16, 8, true}, Row{"qwen3-1.7b", 2048, 6144, 28, 16, 8, true},
        Row{"qwen3-4b", 2560, 9728, 36, 32, 8, true}, Row{"qwen3-8b", 4096, 12288, 36, 32, 8, false},
        Row{"qwen3-14b", 5120, 17408, 40, 40, 8, false}, Row{"qwen3-32b", 5120, 25600, 64, 64, 8, false}}) {
    const ModelShape shape = model_preset(row.name);
    EXPECT_EQ(shape.hidden_size, row.hidden) << row.name;
    EXPECT_EQ(shape.intermediate_size, row.intermediate) << row.name;
    EXPECT_EQ(shape.num_hidden_layers, row.layers) << row.name;
    EXPECT_EQ(shape.num_attention_heads, row.heads) << row.name;
    EXPECT_EQ(shape.num_key_value_heads, row.key_value_heads) << row.name;
    EXPECT_EQ(shape.tie_word_embeddings, row.tied) << row.name;
    EXPECT_EQ(shape.head_dim, 128) << row.name;
    EXPECT_EQ(shape.vocab_size, 151936) << row.name;
    EXPECT_EQ(shape.max_position_embeddings, 40960) << row.name;
    EXPECT_EQ(shape.rms_norm_eps, 1e-6) << row.name;
    EXPECT_EQ(shape.rope_theta, 1e6) << row.name;
    EXPECT_EQ(shape.initializer_range, 0.02) << row.name;
  }
  EXPECT_TRUE(model_preset("qwen3-0.6b") == shape_of(published()));
  const ModelShape tiny = model_preset("tiny");
  EXPECT_EQ(tiny.hidden_size, 64);
  EXPECT_EQ(tiny.intermediate_size, 192);
  EXPECT_EQ(tiny.num_hidden_layers, 3);
  EXPECT_EQ(tiny.query_size(), 64);
  EXPECT_EQ(tiny.key_size(), 32);
  EXPECT_EQ(tiny.vocab_size, 512);
}

TEST(ModelPresets, UnknownNamesListThem) {
  const std::string text = message_of([] { model_preset("qwen8b"); });
  EXPECT_CONTAINS(text, "did you mean qwen3-8b?");
  for (const std::string& name : model_preset_names()) {
    EXPECT_CONTAINS(text, name);
  }
}

TEST(ModelConfig, IsReadInTheFormOfTransformers5) {
  json file = published();
  for (const char* old : {"rope_theta", "rope_scaling", "torch_dtype"}) {
    file.erase(old);
  }
  file["rope_parameters"] = {{"rope_theta", 1000000}, {"rope_type", "default"}};
  file["dtype"] = "bfloat16";
  file["pad_token_id"] = nullptr;
  file["layer_types"] = std::vector<std::string>(28, "full_attention");
  EXPECT_TRUE(shape_of(file) == shape_of(published()));
}

TEST(ModelConfig, EachKeyIsNeeded) {
  for (const char* key :
       {"model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings", "rms_norm_eps", "rope_theta"}) {
    json file = published();
    file.erase(key);
    EXPECT_CONTAINS(complaint_about(file), std::string(key) + " is missing");
    file[key] = {1, 2};
    EXPECT_CONTAINS(complaint_about(file), std::string("config.json is no model that this program computes: ") + key);
  }
  json file = published();
  for (const char* key : {"initializer_range", "tie_word_embeddings", "hidden_act", "attention_bias"}) {
    file.erase(key);
  }
  EXPECT_EQ(shape_of(file).initializer_range, 0.02);
  EXPECT_FALSE(shape_of(file).tie_word_embeddings);
}

TEST(ModelConfig, WhatIsNotComputedIsRefused) {
  const std::vector<std::pair<std::function<void(json&)>, std::string>> cases{
      {[](json& f) { f["model_type"] = "qwen2"; }, "model_type is \"qwen2\""},
      {[](json& f) { f["hidden_act"] = "gelu"; }, "hidden_act is \"gelu\""},
      {[](json& f) { f["attention_bias"] = true; }, "attention_bias is true"},
      {[](json& f) { f["attention_dropout"] = 0.1; }, "attention_dropout is 0.1"},
      {[](json& f) { f["use_sliding_window"] = true; }, "sliding windows are not computed"},
      {[](json& f) {
         f["quantization_config"] = {{"bits", 4}};
       },
       "quantization_config is given"},
      {[](json& f) {
         f["rope_scaling"] = {{"type", "yarn"}, {"factor", 4.0}};
       },
       "rope_type \"yarn\""},
      {[](json& f) {
         f["rope_parameters"] = {{"rope_type", "linear"}, {"rope_theta", 1000000}};
       },
       "\"linear\""},
      {[](json& f) {
         f["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 5}};
       },
       "they must agree"},
      {[](json& f) {
         f["rope_parameters"] = {{"partial_rotary_factor", 0.5}};
       },
       "partial_rotary_factor 0.5"},
      {[](json& f) { f["layer_types"] = std::vector<std::string>(28, "sliding_attention"); }, "sliding_attention"},
      {[](json& f) { f["layer_types"] = std::vector<std::string>(27, "full_attention"); }, "each of the 28 layers"},
      {[](json& f) { f["num_key_value_heads"] = 5; },
       "num_attention_heads 16 does not divide by num_key_value_heads 5"},
      {[](json& f) { f["head_dim"] = 127; }, "head_dim 127 is odd"},
      {[](json& f) { f["hidden_size"] = 0; }, "hidden_size must be a whole number from 1"},
      {[](json& f) { f["num_hidden_layers"] = -3; }, "num_hidden_layers must be a whole number from 1"},
      {[](json& f) { f["vocab_size"] = 1e30; }, "vocab_size must be a whole number from 1"},
      {[](json& f) { f["vocab_size"] = 18446744073709551615ULL; }, "vocab_size must be a whole number from 1"},
      {[](json& f) { f["rms_norm_eps"] = -1e-6; }, "rms_norm_eps must be a number above 0"},
      {[](json& f) { f["tie_word_embeddings"] = "yes"; }, "tie_word_embeddings must be true or false"},
  };
  for (const auto& [spoil, expected] : cases) {
    json file = published();
    spoil(file);
    EXPECT_CONTAINS(complaint_about(file), expected);
  }
}

TEST(ModelConfig, EverythingWrongIsListedWithTheFile) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("config.json", R"({"model_type": "llama", "head_dim": 3})");
  const std::string text = message_of([&] { read_model_config(directory.path()); });
  EXPECT_CONTAINS(text, path);
  for (const char* part : {"model_type is \"llama\"", "hidden_size is missing", "vocab_size is missing",
                           "rope_theta is missing", "head_dim 3 is odd"}) {
    EXPECT_CONTAINS(text, part);
  }
  EXPECT_CONTAINS(message_of([&] { read_model_config(directory.path("none.json")); }), "cannot be read");
  EXPECT_CONTAINS(message_of([] { parse_model_config("{", "x.json"); }), "x.json is no model");
  EXPECT_CONTAINS(message_of([] { parse_model_config("3", "x.json"); }), "one JSON object");
}

TEST(ModelConfig, IsWrittenAsItIsRead) {
  for (const std::string& name : model_preset_names()) {
    const ModelShape shape = model_preset(name);
    EXPECT_TRUE(parse_model_config(to_hugging_face_json(shape), name) == shape) << name;
  }
  const json file = json::parse(to_hugging_face_json(model_preset("qwen3-0.6b")));
  json expected = published();
  for (const auto& [key, value] : file.items()) {
    EXPECT_EQ(value, expected[key]) << key;
  }
}

}  // namespace
}  // namespace tessera::config
