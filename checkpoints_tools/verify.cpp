#include "command_line.hpp"
#include "json_output.hpp"
#include "progress.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/units.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <thread>

namespace tessera::tools {
namespace {

struct Verdict {
  std::vector<std::string> problems;
  std::int64_t bytes = 0;
  std::int64_t num_tensors = 0;
};

Verdict read_everything(const std::string& path, int num_threads, Progress& progress) {
  Verdict verdict;
  try {
    const checkpoint::Reader reader(path);
    verdict.bytes = reader.num_bytes();
    verdict.num_tensors = static_cast<std::int64_t>(reader.tensors().size());
    checkpoint::VerifyOptions options;
    options.num_threads = num_threads;
    options.progress = [&](std::int64_t done, std::int64_t total) { progress.update(done, total); };
    verdict.problems = reader.verify(options);
  } catch (const core::UserError& error) {
    verdict.problems.emplace_back(error.what());
  }
  return verdict;
}

int run(const po::variables_map& values, const core::Log& log) {
  const auto path = values["CKPT"].as<std::string>();
  const int num_threads = values["threads"].as<int>();
  constexpr int kMostThreads = 1024;  // each holds a piece of the checkpoint
  core::require<core::UserError>(num_threads > 0 && num_threads <= kMostThreads, "tessera-ckpt verify",
                                 "--threads {} must be from 1 to {}", num_threads, kMostThreads);
  Progress progress(log, "verifying");
  const Verdict verdict = read_everything(path, num_threads, progress);
  log.status("");
  const bool whole = verdict.problems.empty();
  if (values.count("json") > 0) {
    const nlohmann::ordered_json all{{"path", path},
                                     {"whole", whole},
                                     {"bytes", verdict.bytes},
                                     {"tensors", verdict.num_tensors},
                                     {"seconds", progress.seconds()},
                                     {"problems", verdict.problems}};
    put_json(all);
  } else if (whole) {
    std::printf("%s is whole: %s tensors, %s\n", path.c_str(), core::format_count(verdict.num_tensors).c_str(),
                describe_rate(static_cast<double>(verdict.bytes), progress.seconds()).c_str());
  } else {
    for (const std::string& problem : verdict.problems) {
      std::printf("%s\n", problem.c_str());
    }
  }
  return whole ? 0 : 2;
}

}  // namespace

Verb verify_verb() {
  Verb verb;
  verb.name = "verify";
  verb.summary = "reads every byte of a checkpoint and says what is damaged";
  verb.usage = "CKPT [--threads N] [--json]";
  verb.details = "Each damaged range is named with its tensor, elements and bytes; the exit status is then 2.\n";
  verb.examples = "    tessera-ckpt verify results/quickstart/checkpoint-final\n";
  const auto cores = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 8U));
  verb.flags.add_options()("CKPT", po::value<std::string>())("threads", po::value<int>()->default_value(cores),
                                                             "readers side by side")("json", "as JSON, for programs")(
      "quiet", "no progress on stderr");
  verb.positional = {"CKPT"};
  verb.run = run;
  return verb;
}

}  // namespace tessera::tools
