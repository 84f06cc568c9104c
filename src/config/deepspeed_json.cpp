#include "config/deepspeed_json.hpp"

#include "config/fixed_keys.hpp"
#include "tessera/config/effective_settings.hpp"
#include "tessera/core/suggest.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>
#include <optional>
#include <set>

namespace tessera::config {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kPrecisionKey = "bf16.enabled";
constexpr std::string_view kOptimizerKey = "optimizer.type";
constexpr std::string_view kGatherBucketKey = "zero_optimization.allgather_bucket_size";

// DeepSpeed's spelling; it is read in any case.
constexpr std::array<std::pair<OptimizerKind, std::string_view>, 3> kOptimizerTypes{
    {{OptimizerKind::kAdamW, "AdamW"}, {OptimizerKind::kSgd, "SGD"}, {OptimizerKind::kLars, "LARS"}}};

bool is_same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

Scalar to_scalar(const Json& value) {
  switch (value.type()) {
    case Json::value_t::boolean:
      return value.get<bool>();
    case Json::value_t::number_integer:
      return value.get<std::int64_t>();
    case Json::value_t::number_unsigned:
      // What 64 signed bits cannot hold is kept as a real number, which no whole setting takes.
      return value.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())
                 ? Scalar(value.get<std::int64_t>())
                 : Scalar(value.get<double>());
    case Json::value_t::number_float:
      return value.get<double>();
    case Json::value_t::string:
      return value.get<std::string>();
    default:
      return {};
  }
}

Json to_json_value(const Scalar& value) {
  return std::visit(
      [](const auto& held) {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::monostate>) {
          return Json("auto");
        } else {
          return Json(held);
        }
      },
      value);
}

/// Parses JSON with // comments, and refuses a key that stands twice in one object (the second would silently win).
std::optional<Json> parse(const JsonSource& source, Problems& problems) {
  std::vector<std::set<std::string>> open;
  std::set<std::string> repeated;
  const auto watch = [&](int /*depth*/, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) {
      open.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      open.pop_back();
    } else if (event == Json::parse_event_t::key && !open.back().insert(parsed.get<std::string>()).second) {
      repeated.insert(parsed.get<std::string>());
    }
    return true;
  };
  try {
    Json parsed = Json::parse(source.text, watch, true, true);
    for (const std::string& key : repeated) {
      problems.add("{}: the key \"{}\" stands twice in one object", source.name, key);
    }
    if (!parsed.is_object()) {
      problems.add("{}: the file must hold one JSON object, {{ ... }}", source.name);
      return std::nullopt;
    }
    return parsed;
  } catch (const Json::parse_error& error) {
    const std::string what = error.what();
    problems.add("{} is no valid JSON: {}", source.name, what.substr(what.find("] ") + 2));
    return std::nullopt;
  }
}

bool matches(std::string_view pattern, std::string_view path) {
  return pattern.ends_with('*') ? path.starts_with(pattern.substr(0, pattern.size() - 1)) : pattern == path;
}

bool is_allowed(const FixedKey& key, const Json& value) {
  if (value.is_null() || key.allowed == "*") {
    return true;
  }
  const Json* judged = &value;
  if (!key.gate.empty() && value.is_object()) {
    const auto gate = value.find(key.gate);
    if (gate == value.end() || gate->is_null()) {
      return true;
    }
    judged = &*gate;
  }
  const std::string text = judged->dump();
  std::string_view rest = key.allowed;
  while (!rest.empty()) {
    const std::size_t bar = std::min(rest.find('|'), rest.size());
    if (rest.substr(0, bar) == text) {
      return true;
    }
    rest.remove_prefix(std::min(bar + 1, rest.size()));
  }
  return false;
}

/// Every path that may stand in the file: keys and the sections around them.
std::vector<std::string> known_paths(const std::vector<Setting>& settings) {
  std::set<std::string> paths{std::string(kGatherBucketKey)};
  for (const FixedKey& key : fixed_keys()) {
    paths.emplace(key.path);
  }
  for (const Setting& setting : settings) {
    if (!setting.json.empty()) {
      paths.emplace(setting.json);
    }
  }
  for (const std::string& path : std::vector<std::string>(paths.begin(), paths.end())) {
    for (std::size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) {
      paths.insert(path.substr(0, dot));
    }
  }
  return {paths.begin(), paths.end()};
}

std::string last_part(const std::string& path) { return path.substr(path.rfind('.') + 1); }

class JsonReader {
 public:
  JsonReader(const JsonSource& source, const std::vector<Setting>& settings, Origins& origins, Problems& problems)
      : source_(source), settings_(settings), origins_(origins), problems_(problems), known_(known_paths(settings)) {}

  void read(const Json& section, const std::string& prefix) {
    for (const auto& [key, value] : section.items()) {
      read_key(prefix + key, value);
    }
  }

  /// Whether the file has the key, be it at "auto".
  [[nodiscard]] bool mentions(std::string_view path) const { return mentioned_.contains(path); }

  [[nodiscard]] const std::optional<Json>& gather_bucket() const { return gather_bucket_; }

 private:
  void read_key(const std::string& path, const Json& value) {
    for (const FixedKey& key : fixed_keys()) {
      if (matches(key.path, path)) {
        if (!is_allowed(key, value)) {
          problems_.add("{}: {} = {} is refused: {}", source_.name, path, shorten(value), key.reason);
        }
        return;
      }
    }
    if (path == kGatherBucketKey) {
      gather_bucket_ = value;
      return;
    }
    for (const Setting& setting : settings_) {
      if (!setting.json.empty() && path == setting.json) {
        set(setting, path, value);
        return;
      }
    }
    const auto is_section = [&](const std::string& known) { return known.starts_with(path + "."); };
    if (std::ranges::none_of(known_, is_section)) {
      problems_.add("{}: {} is not a key that this program knows{}", source_.name, path, suggestion(path));
    } else if (value.is_object() || (value.is_array() && path.ends_with("betas") && value.size() == 2)) {
      read(value, path + ".");
    } else if (path.ends_with("betas")) {
      if (value != "auto" && !value.is_null()) {
        problems_.add("{}: {} must be two numbers such as [0.9, 0.95], not {}", source_.name, path, shorten(value));
      }
    } else if (!value.is_null()) {
      problems_.add("{}: {} must be a section, {{ ... }}, not {}", source_.name, path, shorten(value));
    }
  }

  void set(const Setting& setting, const std::string& path, const Json& value) {
    mentioned_.emplace(path);
    // A setting that has an "auto" of its own takes it, unless a flag says otherwise.
    const bool is_own_auto = std::holds_alternative<OffloadRatio*>(setting.field) && !origins_.contains(setting.name);
    if (value.is_null() || (value == "auto" && !is_own_auto)) {
      return;
    }
    const Scalar before = value_of(setting.field);
    const std::string problem = assign(setting, value);
    if (!problem.empty()) {
      problems_.add("{}: {} {}", source_.name, shown_key(path), problem);
      return;
    }
    const auto given = origins_.find(setting.name);
    if (given != origins_.end() && value_of(setting.field) != before) {
      problems_.add("{} is {} but {} in {} is {}: make them agree, or write \"auto\" in the file", given->second,
                    show(before), shown_key(path), source_.name, value.dump());
      return;
    }
    origins_.emplace(setting.name, shown_key(path) + " in " + source_.name);
  }

  static std::string assign(const Setting& setting, const Json& value) {
    if (value.is_structured()) {
      return "must be a single value, not " + shorten(value);
    }
    if (setting.json == kOptimizerKey) {
      return assign_optimizer(setting, value);
    }
    if (setting.json != kPrecisionKey) {
      return assign_scalar(setting.field, to_scalar(value));
    }
    if (!value.is_boolean()) {
      return "must be true, false or \"auto\", not " + shorten(value);
    }
    return assign_text(setting.field, name_of(value.get<bool>() ? DTypeChoice::kBFloat16 : DTypeChoice::kFloat32));
  }

  static std::string assign_optimizer(const Setting& setting, const Json& value) {
    for (const auto& [kind, type] : kOptimizerTypes) {
      if (value.is_string() && is_same_word(value.get<std::string>(), type)) {
        return assign_text(setting.field, name_of(kind));
      }
    }
    return R"(must be "AdamW" (DeepSpeed's "Adam" means that too, unless adam_w_mode is false), "SGD" or "LARS", not )" +
           shorten(value);
  }

  static std::string shorten(const Json& value) {
    constexpr std::size_t kLongest = 60;
    const std::string text = value.dump();
    return text.size() <= kLongest ? text : text.substr(0, kLongest) + "...";
  }

  /// The right key in the wrong section comes first, then the nearest spelling.
  [[nodiscard]] std::string suggestion(const std::string& path) const {
    const std::string name = last_part(path);
    const auto same_name = [&](const std::string& known) { return last_part(known) == name; };
    const auto moved = std::ranges::find_if(known_, same_name);
    const std::string meant = moved != known_.end() ? *moved : core::nearest(path, known_);
    return meant.empty() ? "; remove it, or see 'tessera finetune --help' for the keys"
                         : "; did you mean " + meant + "?";
  }

  const JsonSource& source_;
  const std::vector<Setting>& settings_;
  Origins& origins_;
  Problems& problems_;
  std::vector<std::string> known_;
  std::set<std::string, std::less<>> mentioned_;
  std::optional<Json> gather_bucket_;
};

void check_gather_bucket(const std::optional<Json>& value, const JsonSource& source,
                         const std::vector<Setting>& settings, Problems& problems) {
  if (!value || value->is_null() || *value == "auto") {
    return;
  }
  const auto reduce =
      std::ranges::find_if(settings, [](const Setting& setting) { return setting.name == "reduce_bucket_size"; });
  const std::string size = show(value_of(reduce->field));
  std::int64_t given = 0;
  if (!assign_scalar(&given, to_scalar(*value)).empty() || std::to_string(given) != size) {
    problems.add(
        "{}: {} is {} but reduce_bucket_size is {}: parameters and gradients share their buckets, so write the same "
        "number or \"auto\"",
        source.name, kGatherBucketKey, value->dump(), size);
  }
}

}  // namespace

void apply_deepspeed_json(const JsonSource& source, const std::vector<Setting>& settings, DataConfig& data,
                          Origins& origins, Problems& problems) {
  const auto json = parse(source, problems);
  if (!json) {
    return;
  }
  JsonReader reader(source, settings, origins, problems);
  reader.read(*json, "");
  check_gather_bucket(reader.gather_bucket(), source, settings, problems);
  if (data.train_batch_size) {
    // As DeepSpeed has it: of three numbers two give the third, and the total alone leaves one micro-step. A key at
    // "auto" counts as given, by its flag or that flag's default.
    const bool has_batch = origins.contains("batch_size") || reader.mentions("train_micro_batch_size_per_gpu");
    const bool has_accum = origins.contains("accum_iter") || reader.mentions("gradient_accumulation_steps");
    data.derive_batch_size = !has_batch;
    data.derive_accum_iter = has_batch && !has_accum;
  }
}

std::string effective_deepspeed_json(const RunConfig& config, std::optional<int> world_size) {
  RunConfig copy = config;
  if (world_size) {
    copy.data.train_batch_size = config.effective_batch(*world_size);
  }
  Json json = Json::object();
  for (const Setting& setting : describe(copy)) {
    if (!is_of_optimizer(setting.name, copy.optimizer.opt)) {
      continue;
    }
    const bool open = (setting.name == "batch_size" && config.data.derive_batch_size) ||
                      (setting.name == "accum_iter" && config.data.derive_accum_iter);
    if (setting.json.empty() || (open && !world_size)) {
      continue;
    }
    std::string pointer = "/" + std::string(setting.json);
    std::ranges::replace(pointer, '.', '/');
    Json& place = json[Json::json_pointer(pointer)];
    if (setting.json == kPrecisionKey) {
      place =
          copy.runtime.dtype == DTypeChoice::kAuto ? Json("auto") : Json(copy.runtime.dtype == DTypeChoice::kBFloat16);
    } else if (setting.name == "clip_grad") {
      place = copy.optimizer.clip_grad.value_or(0.0);
    } else if (setting.json == kOptimizerKey) {
      place = std::ranges::find(kOptimizerTypes, copy.optimizer.opt, &std::pair<OptimizerKind, std::string_view>::first)
                  ->second;
    } else {
      place = to_json_value(value_of(setting.field));
    }
  }
  return json.dump(2) + "\n";
}

}  // namespace tessera::config
