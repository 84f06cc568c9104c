#include "config/flags.hpp"

#include "config/refused_flags.hpp"
#include "tessera/core/suggest.hpp"

#include <boost/program_options.hpp>

#include <algorithm>
#include <optional>
#include <sstream>

namespace tessera::config {
namespace {

namespace po = boost::program_options;

bool belongs_to(const Setting& setting, const VerbInfo& verb) { return (setting.verbs & verb.bit) != 0; }

/// One flag with the words that follow it, up to the next flag. Parsed one by one, so that a mistake in one does not
/// hide those in the others.
using Segment = std::vector<std::string>;

std::vector<Segment> split_at_flags(const std::vector<std::string>& words, std::vector<std::string>& before) {
  std::vector<Segment> segments;
  for (const std::string& word : words) {
    if (word.starts_with("--")) {
      segments.push_back({word});
    } else if (segments.empty()) {
      before.push_back(word);
    } else {
      segments.back().push_back(word);
    }
  }
  return segments;
}

/// One for each word of what --help calls its value.
std::size_t num_values(const Setting& setting) {
  const auto spaces = static_cast<std::size_t>(std::ranges::count(setting.value, ' '));
  return setting.value.empty() ? 0 : spaces + 1;
}

std::string name_in(const std::string& word) { return word.substr(2, word.find('=') - 2); }

class FlagReader {
 public:
  FlagReader(const VerbInfo& verb, const std::vector<Setting>& settings, Problems& problems)
      : verb_(verb), settings_(settings), problems_(problems) {}

  void read(Segment segment) {
    const std::string name = name_in(segment.front());
    for (const Setting& setting : settings_) {
      if (setting.verbs != kNoVerb && (name == setting.name || (name == setting.old_name && !name.empty()))) {
        take_operands(segment, !setting.value.empty());
        read_setting(name, setting, segment);
        return;
      }
    }
    for (const RefusedFlag& flag : refused_flags()) {
      if (name == flag.name && (flag.verbs & verb_.bit) != 0) {
        const auto value = parse(segment, name, flag.takes_value ? 1 : 0);
        if (value && !is_neutral(flag, *value)) {
          problems_.add("--{}{}{} has no effect here, and so is refused: {}", name, value->empty() ? "" : " ", *value,
                        flag.reason);
        }
        return;
      }
    }
    problems_.add("--{} is not a flag of 'tessera {}'{}", name, verb_.name, suggestion(name));
  }

  [[nodiscard]] GivenWords take(std::vector<std::string> operands) {
    operands.insert(operands.end(), operands_.begin(), operands_.end());
    if (verb_.operands.empty()) {
      for (const std::string& word : operands) {
        problems_.add("'{}' stands where a flag should: flags begin with --", word);
      }
    } else if (operands.size() < verb_.least_operands || operands.size() > verb_.most_operands) {
      problems_.add("'tessera {} {}': {} were given", verb_.name, verb_.operands, operands.size());
    }
    return {std::move(given_), std::move(operands)};
  }

 private:
  /// Words after the flag and its value, where the verb has operands.
  void take_operands(Segment& segment, bool takes_value) {
    const bool has_value_within = segment.front().find('=') != std::string::npos;
    const std::size_t own = takes_value && !has_value_within ? 2 : 1;
    if (!verb_.operands.empty() && segment.size() > own) {
      operands_.insert(operands_.end(), segment.begin() + static_cast<std::ptrdiff_t>(own), segment.end());
      segment.resize(own);
    }
  }

  void read_setting(const std::string& name, const Setting& setting, const Segment& segment) {
    if (!belongs_to(setting, verb_)) {
      std::vector<std::string> others;
      for (const VerbInfo& other : verbs()) {
        if (belongs_to(setting, other)) {
          others.push_back("'tessera " + std::string(other.name) + "'");
        }
      }
      problems_.add("--{} is not a flag of 'tessera {}'; it is one of {}", name, verb_.name,
                    core::list_of(others, "and"));
      return;
    }
    const bool is_alone = segment.size() == 1 && segment.front().find('=') == std::string::npos;
    const auto value =
        is_alone && !setting.implied.empty() ? std::string(setting.implied) : parse(segment, name, num_values(setting));
    if (!value) {
      return;
    }
    const auto [place, is_new] = given_.emplace(setting.name, *value);
    if (!is_new && place->second != *value) {
      const std::string both =
          name == setting.name ? std::string() : fmt::format(" (its old name is --{})", setting.old_name);
      problems_.add("--{}{} is given twice, as '{}' and as '{}'", setting.name, both, place->second, *value);
    }
  }

  /// The flag's values between spaces (nothing for a switch), or no text after a problem.
  std::optional<std::string> parse(const Segment& segment, const std::string& name, std::size_t num_wanted) {
    po::options_description known;
    if (num_wanted > 1) {
      known.add_options()(name.c_str(), po::value<std::vector<std::string>>()->multitoken(), "");
    } else if (num_wanted == 1) {
      known.add_options()(name.c_str(), po::value<std::string>(), "");
    } else {
      known.add_options()(name.c_str(), "");
    }
    namespace style = po::command_line_style;
    constexpr int kLongFlagsOnly = style::allow_long | style::long_allow_adjacent | style::long_allow_next;
    try {
      const auto parsed = po::command_line_parser(segment).options(known).style(kLongFlagsOnly).run();
      if (parsed.options.size() > 1) {
        problems_.add("'{}' after --{} {}", parsed.options[1].original_tokens.front(), name,
                      num_wanted > 0 ? "is one value too many" : "is too much: this flag takes no value");
        return std::nullopt;
      }
      std::string text;
      for (const std::string& value : parsed.options.front().value) {
        text += (text.empty() ? "" : " ") + value;
      }
      return text;
    } catch (const po::error&) {
      if (num_wanted > 0) {
        problems_.add("--{} needs a value", name);
      } else {
        problems_.add("--{} takes no value: it is on where it is given", name);
      }
      return std::nullopt;
    }
  }

  [[nodiscard]] std::string suggestion(const std::string& name) const {
    std::vector<std::string> known;
    for (const Setting& setting : settings_) {
      if (belongs_to(setting, verb_)) {
        known.emplace_back(setting.name);
      }
    }
    for (const RefusedFlag& flag : refused_flags()) {
      if ((flag.verbs & verb_.bit) != 0) {
        known.emplace_back(flag.name);
      }
    }
    std::string meant = name;
    std::ranges::replace(meant, '-', '_');
    meant = core::nearest(meant, known);
    return meant.empty() ? fmt::format("; 'tessera {} --help' lists them", verb_.name)
                         : fmt::format("; did you mean --{}?", meant);
  }

  const VerbInfo& verb_;
  const std::vector<Setting>& settings_;
  Problems& problems_;
  GivenFlags given_;
  std::vector<std::string> operands_;
};

std::string default_text(const Setting& setting, const VerbInfo& verb) {
  if ((setting.required & verb.bit) != 0) {
    return "required";
  }
  if (setting.in_checkpoint && verb.verb == Verb::kEval) {
    return "from the checkpoint";
  }
  const Scalar value = value_of(setting.field);
  const std::string text = std::holds_alternative<std::monostate>(value) ? std::string() : show(value);
  return text.empty() ? text : "default " + text;
}

/// Boost breaks lines after the space.
std::string without_trailing_spaces(std::string text) {
  for (std::size_t end = text.find(" \n"); end != std::string::npos; end = text.find(" \n")) {
    text.erase(end, 1);
  }
  return text;
}

}  // namespace

GivenWords read_flags(const std::vector<std::string>& words, const VerbInfo& verb, const std::vector<Setting>& settings,
                      Problems& problems) {
  FlagReader reader(verb, settings, problems);
  std::vector<std::string> before;
  for (const Segment& segment : split_at_flags(words, before)) {
    reader.read(segment);
  }
  return reader.take(std::move(before));
}

std::string flags_help(const VerbInfo& verb, const std::vector<Setting>& settings) {
  constexpr unsigned kWidth = 110;
  std::ostringstream text;
  for (auto first = settings.begin(); first != settings.end();) {
    const auto last = std::find_if(first, settings.end(), [&](const Setting& s) { return s.group != first->group; });
    po::options_description group(std::string(first->group), kWidth, kWidth / 2 + 16);
    for (; first != last; ++first) {
      if (!belongs_to(*first, verb)) {
        continue;
      }
      std::string doc(first->doc);
      if (!first->old_name.empty()) {
        doc += fmt::format(" (old name: --{})", first->old_name);
      }
      const std::string name(first->name);
      if (first->value.empty()) {
        group.add_options()(name.c_str(), doc.c_str());
        continue;
      }
      const std::string fallback = default_text(*first, verb);
      doc += fallback.empty() ? "" : " [" + fallback + "]";
      group.add_options()(name.c_str(), po::value<std::string>()->value_name(std::string(first->value)), doc.c_str());
    }
    if (!group.options().empty()) {
      text << "\n" << group;
    }
  }
  return without_trailing_spaces(text.str());
}

}  // namespace tessera::config
