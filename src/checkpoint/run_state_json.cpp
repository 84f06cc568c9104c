#include "tessera/checkpoint/run_state_json.hpp"

#include "checkpoint/run_state_fields.hpp"
#include "tessera/core/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

namespace tessera::checkpoint {
namespace {

using nlohmann::json;

// Sets `field` where `value` is of its kind and fits.
template <class Field>
bool assign(Field& field, const json& value) {
  if constexpr (std::is_same_v<Field, std::string>) {
    if (value.is_string()) {
      field = value.get<std::string>();
      return true;
    }
  } else if constexpr (std::is_floating_point_v<Field>) {
    if (value.is_number()) {
      field = value.get<Field>();
      return true;
    }
  } else if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    field = static_cast<Field>(number);
    return number <= static_cast<std::uint64_t>(std::numeric_limits<Field>::max());
  } else if (value.is_number_integer()) {
    const auto number = value.get<std::int64_t>();
    field = static_cast<Field>(number);
    return std::is_signed_v<Field> && number >= std::int64_t{std::numeric_limits<Field>::min()};
  }
  return false;
}

}  // namespace

std::string to_json(const state::RunState& run) {
  nlohmann::ordered_json object;
  visit_run_state(run, [&](const char* name, const auto& field) {
    if constexpr (std::is_floating_point_v<std::remove_cvref_t<decltype(field)>>) {
      core::require(std::isfinite(field), "checkpoint", "{} is {}, which a checkpoint cannot hold", name, field);
    }
    object[name] = field;
  });
  try {
    return object.dump();
  } catch (const json::exception& error) {
    core::fail("checkpoint", "the state of the run holds text that is not UTF-8: {}", error.what());
  }
}

state::RunState run_state_from_json(std::string_view text, const std::string& source) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  core::require<core::UserError>(object.is_object(), "checkpoint", "{}: the state of the run is not a JSON object",
                                 source);
  state::RunState run;
  std::string wrong;
  visit_run_state(run, [&](const char* name, auto& field) {
    const auto found = object.find(name);
    if (found == object.end() && std::ranges::find(kNewFields, name) != kNewFields.end()) {
      return;
    }
    if (found == object.end()) {
      wrong += fmt::format("{}'{}' is missing", wrong.empty() ? "" : ", ", name);
    } else if (!assign(field, *found)) {
      wrong += fmt::format("{}'{}' is {}", wrong.empty() ? "" : ", ", name, found->dump());
    }
  });
  core::require<core::UserError>(wrong.empty(), "checkpoint", "{}: the state of the run is not complete: {}", source,
                                 wrong);
  return run;
}

}  // namespace tessera::checkpoint
