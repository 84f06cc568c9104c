#include "command_line.hpp"

#include "tessera/core/error.hpp"
#include "tessera/core/suggest.hpp"

#include <boost/program_options/parsers.hpp>

#include <algorithm>
#include <filesystem>
#include <sstream>

namespace tessera::tools {
namespace {

using core::UserError;

std::vector<std::string> flags_of(const Verb& verb) {
  std::vector<std::string> flags{"--help"};
  for (const auto& option : verb.flags.options()) {
    const std::string& name = option->long_name();
    if (std::ranges::find(verb.positional, name) == verb.positional.end()) {
      flags.push_back("--" + name);
    }
  }
  return flags;
}

[[noreturn]] void refuse(const Verb& verb, const std::string& what) {
  core::fail<UserError>("tessera-ckpt " + verb.name,
                        "{}\nusage: tessera-ckpt {} {}\n       tessera-ckpt {} --help says more", what, verb.name,
                        verb.usage, verb.name);
}

[[noreturn]] void refuse_flag(const Verb& verb, const std::string& flag) {
  const std::string meant = core::nearest(flag, flags_of(verb));
  refuse(verb, fmt::format("there is no flag {}{}", flag, meant.empty() ? "" : "; did you mean " + meant + "?"));
}

}  // namespace

po::variables_map parse(const Verb& verb, const std::vector<std::string>& words) {
  po::positional_options_description positional;
  for (const std::string& name : verb.positional) {
    positional.add(name.c_str(), 1);
  }
  po::variables_map values;
  try {
    const int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    po::store(po::command_line_parser(words).options(verb.flags).positional(positional).style(style).run(), values);
  } catch (const po::unknown_option& error) {
    refuse_flag(verb, error.get_option_name());
  } catch (const po::too_many_positional_options_error&) {
    refuse(verb, "there are more words than it takes");
  } catch (const po::error& error) {
    refuse(verb, error.what());
  }
  for (const std::string& name : verb.positional) {
    if (values.count(name) == 0) {
      refuse(verb, "the " + name + " is missing");
    }
  }
  return values;
}

std::string run_directory_of(const po::variables_map& values, const std::string& who) {
  auto path = values["RUN_DIR"].as<std::string>();
  std::error_code ignored;
  const auto type = std::filesystem::status(path, ignored).type();
  core::require<UserError>(type == std::filesystem::file_type::directory || type == std::filesystem::file_type::none,
                           who, "there is no directory {}", path);
  return path;  // and whoever lists it says why, where the system does not tell
}

std::string help_of(const Verb& verb) {
  po::options_description shown("Flags");
  for (const auto& option : verb.flags.options()) {
    if (std::ranges::find(verb.positional, option->long_name()) == verb.positional.end()) {
      shown.add(option);
    }
  }
  std::ostringstream flags;
  flags << shown;
  return fmt::format("tessera-ckpt {}: {}\n\nusage: tessera-ckpt {} {}\n\n{}{}{}\nExamples:\n{}", verb.name,
                     verb.summary, verb.name, verb.usage, verb.details, verb.details.empty() ? "" : "\n", flags.str(),
                     verb.examples);
}

std::string help_of(const std::vector<Verb>& verbs) {
  std::string text =
      "tessera-ckpt: lists, checks and converts the checkpoints of tessera. One process; no GPU, no launcher.\n\n"
      "usage: tessera-ckpt VERB ... [flags]\n\n";
  for (const Verb& verb : verbs) {
    text += fmt::format("  {:<12} {}\n", verb.name, verb.summary);
  }
  return text +
         "\ntessera-ckpt VERB --help shows the flags of a verb, and examples.\n"
         "Exit status: 0 done; 2 a word, path or checkpoint is bad; 1 anything else.\n";
}

const Verb& find_verb(const std::vector<Verb>& verbs, const std::string& name) {
  std::vector<std::string> names;
  for (const Verb& verb : verbs) {
    if (verb.name == name) {
      return verb;
    }
    names.push_back(verb.name);
  }
  const std::string meant = core::nearest(name, names);
  core::fail<UserError>("tessera-ckpt", "there is no verb '{}'{}; there are {}", name,
                        meant.empty() ? "" : "; did you mean " + meant + "?", core::list_of(names, "and"));
}

}  // namespace tessera::tools
