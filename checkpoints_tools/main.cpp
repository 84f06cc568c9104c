// tessera-ckpt: what one does with checkpoints besides training from them.
#include "command_line.hpp"

#include "tessera/core/error.hpp"
#include "tessera/core/standard_output.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

namespace {

using namespace tessera;

int run(std::vector<std::string> words) {
  const std::vector<tools::Verb> verbs{tools::ls_verb(),   tools::inspect_verb(),     tools::verify_verb(),
                                       tools::diff_verb(), tools::consolidate_verb(), tools::import_verb(),
                                       tools::prune_verb()};
  const auto asks_for_help = [](const std::string& word) { return word == "--help" || word == "-h"; };
  if (words.empty()) {
    std::fputs(tools::help_of(verbs).c_str(), stderr);
    return 2;
  }
  if (asks_for_help(words.front()) || words.front() == "help") {
    std::fputs(tools::help_of(verbs).c_str(), stdout);
    return 0;
  }
  const tools::Verb& verb = tools::find_verb(verbs, words.front());
  words.erase(words.begin());
  if (std::ranges::any_of(words, asks_for_help)) {
    std::fputs(tools::help_of(verb).c_str(), stdout);
    return 0;
  }
  const auto values = tools::parse(verb, words);
  const core::Log log(values.count("quiet") > 0 ? core::Log::Level::kWarnings : core::Log::Level::kAll);
  return verb.run(values, log);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const int status = run({argv + 1, argv + argc});
    core::flush_stdout();
    return status;
  } catch (const core::UserError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
