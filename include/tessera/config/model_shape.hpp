#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::config {

/// The numbers of a Qwen3 backbone, as its Hugging Face config.json gives them.
struct ModelShape {
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;
  std::int64_t head_dim = 0;  ///< not always hidden_size / num_attention_heads
  std::int64_t vocab_size = 0;
  std::int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  double rope_theta = 1e6;
  double initializer_range = 0.02;
  bool tie_word_embeddings = false;

  [[nodiscard]] std::int64_t query_size() const { return num_attention_heads * head_dim; }
  [[nodiscard]] std::int64_t key_size() const { return num_key_value_heads * head_dim; }
};

/// Reads a Hugging Face config.json. Throws UserError that lists every key which is missing, of the wrong type, or
/// asks for what this program does not compute (another model_type or activation, biases, scaled RoPE, sliding
/// windows, head counts that do not divide).
/// A directory stands for the config.json in it.
ModelShape read_model_config(const std::string& path);

/// The same for the text of a config.json; `source` is what messages call it.
ModelShape parse_model_config(const std::string& text, const std::string& source);

/// A preset's shape: "qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "qwen3-8b", "qwen3-14b", "qwen3-32b" or "tiny".
/// Throws UserError that names the presets.
ModelShape model_preset(const std::string& name);

/// What --model_config FILE|NAME means: the config.json where there is such a file, else the preset.
ModelShape model_of(const std::string& file_or_preset);

std::vector<std::string> model_preset_names();

/// `shape` as the text of a Hugging Face config.json that transformers (4.51 and later) reads.
std::string to_hugging_face_json(const ModelShape& shape);

}  // namespace tessera::config
