#include "tessera/config/model_shape.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/suggest.hpp"

#include <array>
#include <string_view>

namespace tessera::config {
namespace {

struct Preset {
  std::string_view name;
  ModelShape shape;
};

constexpr std::int64_t kQwen3Vocabulary = 151936;
constexpr std::int64_t kQwen3Positions = 40960;

/// The published Qwen3 sizes, from their config.json files on the Hugging Face hub, and one for tests and first steps.
/// Columns: hidden, intermediate, layers, heads, key-value heads, head_dim, vocabulary, positions, epsilon, theta,
/// standard deviation, tied.
constexpr std::array<Preset, 7> kPresets{{
    {"qwen3-0.6b", {1024, 3072, 28, 16, 8, 128, kQwen3Vocabulary, kQwen3Positions, 1e-6, 1e6, 0.02, true}},
    {"qwen3-1.7b", {2048, 6144, 28, 16, 8, 128, kQwen3Vocabulary, kQwen3Positions, 1e-6, 1e6, 0.02, true}},
    {"qwen3-4b", {2560, 9728, 36, 32, 8, 128, kQwen3Vocabulary, kQwen3Positions, 1e-6, 1e6, 0.02, true}},
    {"qwen3-8b", {4096, 12288, 36, 32, 8, 128, kQwen3Vocabulary, kQwen3Positions, 1e-6, 1e6, 0.02, false}},
    {"qwen3-14b", {5120, 17408, 40, 40, 8, 128, kQwen3Vocabulary, kQwen3Positions, 1e-6, 1e6, 0.02, false}},
    {"qwen3-32b", {5120, 25600, 64, 64, 8, 128, kQwen3Vocabulary, kQwen3Positions, 1e-6, 1e6, 0.02, false}},
    {"tiny", {64, 192, 3, 4, 2, 16, 512, 4096, 1e-6, 1e6, 0.02, false}},
}};

}  // namespace

std::vector<std::string> model_preset_names() {
  std::vector<std::string> names;
  for (const Preset& preset : kPresets) {
    names.emplace_back(preset.name);
  }
  return names;
}

ModelShape model_preset(const std::string& name) {
  for (const Preset& preset : kPresets) {
    if (preset.name == name) {
      return preset.shape;
    }
  }
  const std::string meant = core::nearest(name, model_preset_names());
  core::fail<core::UserError>("config", "'{}' is neither a file nor a preset of --model_config{}; the presets are {}",
                              name, meant.empty() ? "" : " (did you mean " + meant + "?)",
                              core::list_of(model_preset_names(), "and"));
}

}  // namespace tessera::config
