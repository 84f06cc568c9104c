#pragma once

#include "tessera/core/log.hpp"

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/positional_options.hpp>
#include <boost/program_options/variables_map.hpp>

#include <string>
#include <vector>

namespace tessera::tools {

namespace po = boost::program_options;

/// One verb of tessera-ckpt: what it is called, what it takes, and what it does.
struct Verb {
  std::string name;
  std::string summary;                  ///< one line
  std::string usage;                    ///< after "tessera-ckpt NAME "
  std::string examples;                 ///< whole lines
  std::string details;                  ///< whole lines, may be empty
  po::options_description flags;        ///< with the positional words' names among them
  std::vector<std::string> positional;  ///< names of the words without a flag, all of them required
  int (*run)(const po::variables_map& values, const core::Log& log) = nullptr;  ///< the exit status
};

/// Reads the words after the verb. Throws UserError that names the word, and the nearest flag there is.
po::variables_map parse(const Verb& verb, const std::vector<std::string>& words);

/// The word RUN_DIR. Throws UserError where there is no such directory; `who` is the program and its verb.
std::string run_directory_of(const po::variables_map& values, const std::string& who);

std::string help_of(const Verb& verb);
std::string help_of(const std::vector<Verb>& verbs);

/// Throws UserError that names the nearest verb where there is none of this name.
const Verb& find_verb(const std::vector<Verb>& verbs, const std::string& name);

Verb consolidate_verb();
Verb diff_verb();
Verb import_verb();
Verb inspect_verb();
Verb ls_verb();
Verb prune_verb();
Verb verify_verb();

}  // namespace tessera::tools
