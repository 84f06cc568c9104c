#include "config/settings.hpp"
#include "tessera/config/effective_settings.hpp"

#include <nlohmann/json.hpp>

#include <type_traits>

namespace tessera::config {
namespace {

using Json = nlohmann::ordered_json;

Json to_json_value(const Scalar& value) {
  return std::visit(
      [](const auto& held) {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::monostate>) {
          return Json();
        } else {
          return Json(held);
        }
      },
      value);
}

}  // namespace

std::string to_json(const RunConfig& config, const RunFacts& facts) {
  Json json;
  RunConfig copy = config;
  for (const Setting& setting : describe(copy)) {
    json[std::string(setting.name)] = to_json_value(value_of(setting.field));
  }
  json["effective_batch"] = config.effective_batch(facts.world_size);
  json["peak_lr"] = config.peak_lr(facts.world_size);
  json["model_shape"] = Json::parse(to_hugging_face_json(config.model.shape));
  json["world_size"] = facts.world_size;
  json["hosts"] = facts.hosts;
  json["versions"] = Json::object();
  for (const auto& [name, version] : facts.versions) {
    json["versions"][name] = version;
  }
  return json.dump(2) + "\n";
}

}  // namespace tessera::config
