#include "config/problems.hpp"
#include "tessera/config/model_shape.hpp"
#include "tessera/core/error.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

namespace tessera::config {
namespace {

using Json = nlohmann::ordered_json;

/// Reads the keys of one config.json. A key that stands at null counts as missing.
class ConfigReader {
 public:
  ConfigReader(const Json& json, Problems& problems) : json_(json), problems_(problems) {}

  std::int64_t whole(std::string_view key) {
    const Json* value = required(key);
    if (value == nullptr) {
      return 0;
    }
    // The bound keeps every product of two sizes within 64 bits.
    if (!value->is_number_integer() || !(*value > 0) || *value > std::numeric_limits<std::int32_t>::max()) {
      problems_.add("{} must be a whole number from 1 to {}, not {}", key, std::numeric_limits<std::int32_t>::max(),
                    value->dump());
      return 0;
    }
    return value->get<std::int64_t>();
  }

  double positive(std::string_view key, const Json* value) {
    if (value == nullptr) {
      return 0;
    }
    if (!value->is_number() || !(value->get<double>() > 0) || !std::isfinite(value->get<double>())) {
      problems_.add("{} must be a number above 0, not {}", key, value->dump());
      return 0;
    }
    return value->get<double>();
  }

  const Json* required(std::string_view key) {
    const Json* value = find(json_, key);
    if (value == nullptr) {
      problems_.add("{} is missing", key);
    }
    return value;
  }

  static const Json* find(const Json& object, std::string_view key) {
    const auto place = object.find(key);
    return place == object.end() || place->is_null() ? nullptr : &*place;
  }

  /// Refuses any value but `only`; a missing key stands for it.
  void demand(std::string_view key, const Json& only, std::string_view reason) {
    const Json* value = find(json_, key);
    if (value != nullptr && *value != only) {
      problems_.add("{} is {}: {}", key, value->dump(), reason);
    }
  }

  void demand_absent(std::string_view key, std::string_view reason) {
    if (find(json_, key) != nullptr) {
      problems_.add("{} is given: {}", key, reason);
    }
  }

  bool boolean(std::string_view key, bool fallback) {
    const Json* value = find(json_, key);
    if (value == nullptr) {
      return fallback;
    }
    if (!value->is_boolean()) {
      problems_.add("{} must be true or false, not {}", key, value->dump());
      return fallback;
    }
    return value->get<bool>();
  }

  /// transformers 4 has rope_theta and rope_scaling at the top, transformers 5 has rope_parameters with both.
  double rope_theta() {
    const Json* theta = find(json_, "rope_theta");
    for (const std::string_view section : {"rope_scaling", "rope_parameters"}) {
      const Json* rope = find(json_, section);
      if (rope == nullptr) {
        continue;
      }
      if (!rope->is_object()) {
        problems_.add("{} must be an object, not {}", section, rope->dump());
        continue;
      }
      const Json* type = find(*rope, find(*rope, "rope_type") != nullptr ? "rope_type" : "type");
      if (type != nullptr && *type != "default") {
        problems_.add("{} asks for rope_type {}: only the default, unscaled rotary embedding is computed", section,
                      type->dump());
      }
      const Json* part = find(*rope, "partial_rotary_factor");
      if (part != nullptr && *part != 1) {
        problems_.add("{} has partial_rotary_factor {}: whole heads are rotated", section, part->dump());
      }
      const Json* inner = find(*rope, "rope_theta");
      if (theta != nullptr && inner != nullptr && *theta != *inner) {
        problems_.add("rope_theta is {} and in {} {}: they must agree", theta->dump(), section, inner->dump());
      }
      theta = theta != nullptr ? theta : inner;
    }
    if (theta == nullptr) {
      problems_.add("rope_theta is missing (or rope_parameters.rope_theta, as transformers 5 writes it)");
    }
    return positive("rope_theta", theta);
  }

  void demand_full_attention(std::int64_t num_layers) {
    demand("use_sliding_window", false, "sliding windows are not computed");
    const Json* types = find(json_, "layer_types");
    if (types == nullptr) {
      return;
    }
    const auto size = static_cast<std::int64_t>(types->is_array() ? types->size() : 0);
    if (!types->is_array() || (num_layers > 0 && size != num_layers)) {
      problems_.add("layer_types must name each of the {} layers", num_layers);
      return;
    }
    for (const Json& type : *types) {
      if (type != "full_attention") {
        problems_.add("layer_types has {}: every layer must be \"full_attention\"", type.dump());
        return;
      }
    }
  }

 private:
  const Json& json_;
  Problems& problems_;
};

void check_heads(const ModelShape& shape, Problems& problems) {
  if (shape.num_attention_heads > 0 && shape.num_key_value_heads > 0 &&
      shape.num_attention_heads % shape.num_key_value_heads != 0) {
    problems.add("num_attention_heads {} does not divide by num_key_value_heads {}", shape.num_attention_heads,
                 shape.num_key_value_heads);
  }
  if (shape.head_dim % 2 != 0) {
    problems.add("head_dim {} is odd: the rotary embedding turns pairs of numbers", shape.head_dim);
  }
}

ModelShape read_shape(const Json& json, Problems& problems) {
  ConfigReader reader(json, problems);
  const Json* type = reader.required("model_type");
  if (type != nullptr && *type != "qwen3") {
    problems.add("model_type is {}: this program computes \"qwen3\"", type->dump());
  }
  ModelShape shape;
  shape.hidden_size = reader.whole("hidden_size");
  shape.intermediate_size = reader.whole("intermediate_size");
  shape.num_hidden_layers = reader.whole("num_hidden_layers");
  shape.num_attention_heads = reader.whole("num_attention_heads");
  shape.num_key_value_heads = reader.whole("num_key_value_heads");
  shape.head_dim = reader.whole("head_dim");
  shape.vocab_size = reader.whole("vocab_size");
  shape.max_position_embeddings = reader.whole("max_position_embeddings");
  shape.rms_norm_eps = reader.positive("rms_norm_eps", reader.required("rms_norm_eps"));
  shape.rope_theta = reader.rope_theta();
  if (const Json* range = ConfigReader::find(json, "initializer_range")) {
    shape.initializer_range = reader.positive("initializer_range", range);
  }
  shape.tie_word_embeddings = reader.boolean("tie_word_embeddings", false);
  reader.demand("hidden_act", "silu", "SwiGLU with \"silu\" is what is computed");
  reader.demand("attention_bias", false, "projections have no biases");
  reader.demand("attention_dropout", 0, "attention has no dropout");
  reader.demand_full_attention(shape.num_hidden_layers);
  reader.demand_absent("quantization_config", "weights must be bf16, fp16 or fp32");
  check_heads(shape, problems);
  return shape;
}

}  // namespace

ModelShape parse_model_config(const std::string& text, const std::string& source) {
  Problems problems;
  ModelShape shape;
  try {
    const Json json = Json::parse(text);
    if (json.is_object()) {
      shape = read_shape(json, problems);
    } else {
      problems.add("the file must hold one JSON object, {{ ... }}");
    }
  } catch (const Json::parse_error& error) {
    const std::string what = error.what();
    problems.add("no valid JSON: {}", what.substr(what.find("] ") + 2));
  }
  if (problems.empty()) {
    return shape;
  }
  std::string list;
  for (const std::string& problem : problems.list()) {
    list += (list.empty() ? "" : "; ") + problem;
  }
  core::fail<core::UserError>("config", "{} is no model that this program computes: {}", source, list);
}

ModelShape read_model_config(const std::string& path) {
  std::error_code ignored;
  const std::string name =
      std::filesystem::is_directory(path, ignored) ? (std::filesystem::path(path) / "config.json").string() : path;
  std::ifstream file(name, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  core::require<core::UserError>(static_cast<bool>(file), "config",
                                 "{}: the file cannot be read; a Hugging Face "
                                 "config.json is expected there",
                                 name);
  return parse_model_config(text, name);
}

ModelShape model_of(const std::string& file_or_preset) {
  std::error_code ignored;
  return std::filesystem::exists(file_or_preset, ignored) ? read_model_config(file_or_preset)
                                                          : model_preset(file_or_preset);
}

std::string to_hugging_face_json(const ModelShape& shape) {
  Json json;
  json["architectures"] = {"Qwen3ForCausalLM"};
  json["model_type"] = "qwen3";
  json["hidden_size"] = shape.hidden_size;
  json["intermediate_size"] = shape.intermediate_size;
  json["num_hidden_layers"] = shape.num_hidden_layers;
  json["num_attention_heads"] = shape.num_attention_heads;
  json["num_key_value_heads"] = shape.num_key_value_heads;
  json["head_dim"] = shape.head_dim;
  json["vocab_size"] = shape.vocab_size;
  json["max_position_embeddings"] = shape.max_position_embeddings;
  json["rms_norm_eps"] = shape.rms_norm_eps;
  json["rope_theta"] = shape.rope_theta;
  json["rope_scaling"] = nullptr;
  json["initializer_range"] = shape.initializer_range;
  json["tie_word_embeddings"] = shape.tie_word_embeddings;
  json["hidden_act"] = "silu";
  json["attention_bias"] = false;
  json["attention_dropout"] = 0.0;
  json["use_sliding_window"] = false;
  json["sliding_window"] = nullptr;
  return json.dump(2) + "\n";
}

}  // namespace tessera::config
