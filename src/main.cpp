// tessera: fine-tunes Qwen3 on Slurm clusters with ZeRO. From here, each verb is one function in tessera/train or
// tessera/report.
#include "tessera/config/command_line.hpp"
#include "tessera/config/effective_settings.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/log.hpp"
#include "tessera/core/standard_output.hpp"
#include "tessera/report/comparison.hpp"
#include "tessera/topology/session.hpp"
#include "tessera/train/commands.hpp"

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace {

using tessera::config::Command;
using tessera::config::Verb;
using tessera::core::Log;

constexpr int kBadInput = 2;
constexpr int kStoppedEarly = 75;  // EX_TEMPFAIL: run again to go on

// Verbs that compute need every rank; the others answer from flags alone, with or without a launcher.
bool needs_session(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  return verb == "finetune" || verb == "linprobe" || verb == "eval" || verb == "topology";
}

int status_of(tessera::train::Ending ending) {
  using tessera::train::Ending;
  return ending == Ending::kDone ? EXIT_SUCCESS : ending == Ending::kStopped ? kStoppedEarly : EXIT_FAILURE;
}

int run(const Command& command, const tessera::topology::Group& world) {
  const bool speaks = world.rank() == 0;
  const Log log(!speaks ? Log::Level::kSilent : command.run.runtime.quiet ? Log::Level::kWarnings : Log::Level::kAll);
  for (const std::string& note : command.notes) {
    log.info("{}", note);
  }
  switch (command.verb) {
    case Verb::kFinetune:
      return status_of(tessera::train::finetune(command.run, world, log));
    case Verb::kLinprobe:
      return status_of(tessera::train::linprobe(command, world, log));
    case Verb::kEval:
      tessera::train::evaluate(command, world, log);
      break;
    case Verb::kPlan:
      tessera::train::print_plan(command);
      break;
    case Verb::kConfig:
      std::fputs(tessera::config::effective_deepspeed_json(command.run, command.plan.world_size).c_str(), stdout);
      break;
    case Verb::kCompare:
      tessera::report::run_compare({command.runs.directories.at(0), command.runs.directories.at(1),
                                    command.runs.tolerance, command.json, command.runs.output});
      break;
    case Verb::kTopology:
      tessera::train::print_topology(command, world);
      break;
    case Verb::kReport:
      tessera::train::write_report(command.runs, log);
  }
  return EXIT_SUCCESS;
}

int parse_and_run(int argc, char** argv, const tessera::topology::Group& world) {
  Command command;
  world.agree([&] {
    command = tessera::config::parse_command_line(argc, argv);
    if (command.text.empty() && needs_session(argc, argv) && command.verb != Verb::kTopology) {
      tessera::config::validate_world(command.run, world.size());
    }
  });
  if (command.text.empty()) {
    return run(command, world);
  }
  if (world.rank() == 0) {
    std::fputs(command.text.c_str(), stdout);
  }
  return EXIT_SUCCESS;
}

void say(int rank, std::string_view who, const std::exception& error) {
  if (rank == 0 || !who.empty()) {
    std::fprintf(stderr, "%.*serror: %s\n", static_cast<int>(who.size()), who.data(), error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  using tessera::topology::Group;
  std::optional<tessera::topology::Session> session;
  Group world = Group::self();
  try {
    if (needs_session(argc, argv)) {
      world = session.emplace().world();
    }
    const int status = parse_and_run(argc, argv, world);
    tessera::core::flush_stdout();
    return status;
  } catch (const tessera::core::AgreedUserError& error) {  // every rank is here: one speaks
    say(world.rank(), "", error);
    return kBadInput;
  } catch (const tessera::core::AgreedError& error) {
    say(world.rank(), "", error);
    return EXIT_FAILURE;
  } catch (const std::exception& error) {  // the others may be waiting for this rank: end them too
    const bool bad_input = dynamic_cast<const tessera::core::UserError*>(&error) != nullptr;
    const int status = bad_input ? kBadInput : EXIT_FAILURE;
    if (world.size() == 1) {
      say(session ? world.rank() : tessera::topology::launched_rank(), "", error);
      return status;
    }
    say(world.rank(), "[rank " + std::to_string(world.rank()) + " on " + tessera::topology::host_name() + "] ", error);
    session->abort(status);
  }
}
