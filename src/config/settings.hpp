#pragma once

#include "config/values.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::config {

/// Sets of verbs, as bits.
enum Verbs : unsigned {
  kNoVerb = 0,  ///< not a flag: only the JSON sets it
  kForFinetune = 1,
  kForEval = 2,
  kForPlan = 4,
  kForConfig = 8,
  kForCompare = 16,
  kForLinprobe = 32,
  kForReport = 64,
  kForTopology = 128,
  kForFinetuning = kForFinetune | kForPlan | kForConfig,  ///< and what tells of it
  kForTraining = kForFinetuning | kForLinprobe,
  kForAll = kForTraining | kForEval,
  kForRanks = kForAll | kForTopology,  ///< what is said of ranks themselves
};

enum class Range {
  kAny,
  kPositive,     ///< > 0
  kNonNegative,  ///< >= 0
  kBelowOne,     ///< [0, 1)
  kUpToOne,      ///< (0, 1]
  kShare,        ///< [0, 1]
};

/// One setting, and everything that the program knows about it. Parsing, --help, the JSON of --config, range checks,
/// args.json and suggestions all read describe(): there is no second list.
struct Setting {
  std::string_view name;   ///< the flag without its dashes, and the key in args.json
  std::string_view value;  ///< what --help calls its value, a word each; empty: a switch, which takes none
  unsigned verbs = kNoVerb;
  Field field;
  std::string_view doc;
  Range range = Range::kAny;
  std::string_view json = {};      ///< key of the DeepSpeed-shaped JSON, as a dotted path; empty: none
  std::string_view old_name = {};  ///< another name of the flag; empty: none
  unsigned required = kNoVerb;     ///< verbs that cannot do without it
  bool in_checkpoint = false;      ///< where `eval` is not told, the checkpoint says it
  std::string_view implied = {};   ///< what the flag alone stands for; empty: it needs a value
  std::string_view group = {};     ///< heading in --help
};

/// Every setting of a run, in the order of --help. The fields point into `config`.
std::vector<Setting> describe(RunConfig& config);

/// The same with what belongs to single verbs.
std::vector<Setting> describe(Command& command);

/// Whether the setting, one of describe()'s, has an effect with this optimizer.
bool is_of_optimizer(std::string_view setting, OptimizerKind kind);

/// A dotted path as messages show it: an element of a list as "betas[0]".
std::string shown_key(std::string_view json_path);

/// How the user gave each setting, by its name: "--lr", or "optimizer.params.lr in zero2.json".
using Origins = std::map<std::string, std::string, std::less<>>;

struct VerbInfo {
  Verb verb;
  Verbs bit;
  std::string_view name;
  std::string_view summary;
  /// Words that are no flags: what usage calls them, and how many there must be. Empty: there are none.
  std::string_view operands = {};
  std::size_t least_operands = 0;
  std::size_t most_operands = 0;
};
const std::vector<VerbInfo>& verbs();
const VerbInfo& info_of(Verb verb);

}  // namespace tessera::config
