#include "command_line.hpp"
#include "json_output.hpp"
#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/core/error.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>

namespace tessera::tools {
namespace {

int run(const po::variables_map& values, const core::Log& log) {
  const std::string run_dir = run_directory_of(values, "tessera-ckpt prune");
  core::require<core::UserError>(values.count("keep_last") > 0, "tessera-ckpt prune",
                                 "--keep_last N is missing: how many checkpoints are to stay");
  checkpoint::PruneRequest request;
  request.keep_last = values["keep_last"].as<std::int64_t>();
  core::require<core::UserError>(request.keep_last > 0, "tessera-ckpt prune", "--keep_last must be at least 1");
  request.dry_run = values.count("dry-run") > 0;
  if (values.count("keep_best") > 0) {
    request.keep.emplace_back("checkpoint-best");
  }
  const auto removed = checkpoint::prune(run_dir, request);
  if (values.count("json") > 0) {
    const nlohmann::ordered_json all{{"removed", removed}, {"dry_run", request.dry_run}};
    put_json(all);
    return 0;
  }
  for (const std::string& name : removed) {
    std::printf("%s %s\n", request.dry_run ? "would remove" : "removed", name.c_str());
  }
  if (removed.empty()) {
    log.info("nothing to remove");
  }
  return 0;
}

}  // namespace

Verb prune_verb() {
  Verb verb;
  verb.name = "prune";
  verb.summary = "removes all but the newest checkpoints of a run";
  verb.usage = "RUN_DIR --keep_last N [--keep_best] [--dry-run] [--json]";
  verb.details =
      "The newest are those with the most steps. What `latest` names stays, and so do checkpoints that are not whole.\n"
      "Not while the run is going on.\n";
  verb.examples =
      "    tessera-ckpt prune results/quickstart --keep_last 2 --dry-run\n"
      "    tessera-ckpt prune results/quickstart --keep_last 2 --keep_best\n";
  verb.flags.add_options()("RUN_DIR", po::value<std::string>())("keep_last", po::value<std::int64_t>(),
                                                                "how many of the newest stay")(
      "keep_best", "checkpoint-best stays, and is not counted")("dry-run", "say what would go, and leave it")(
      "json", "as JSON, for programs")("quiet", "nothing on stderr but warnings");
  verb.positional = {"RUN_DIR"};
  verb.run = run;
  return verb;
}

}  // namespace tessera::tools
