#pragma once

#include "tessera/config/command_line.hpp"
#include "tessera/core/log.hpp"
#include "tessera/topology/group.hpp"

namespace tessera::train {

/// How a run that did not fail ended.
enum class Ending {
  kDone,
  kStopped,  ///< early, by a signal or a limit of time, with a checkpoint to go on from
  kLost,     ///< early, with nothing saved: there was no --output_dir
};

/// `tessera finetune`: trains, evaluates after every epoch, saves and resumes; with --eval evaluates once.
/// Stops in order on SIGUSR1, on SIGTERM, at --max_minutes and before the Slurm job's end. Throws AgreedUserError
/// before training for everything that the user can mend. Collective over `world`.
Ending finetune(const config::RunConfig& given, const topology::Group& world, const core::Log& log);

/// `tessera linprobe`: trains a linear head on the features of frozen weights, and writes final_results.json; saves and
/// resumes, stops and throws as finetune() does. Collective over `world`.
Ending linprobe(const config::Command& command, const topology::Group& world, const core::Log& log);

/// `tessera eval`: the accuracy of a checkpoint, a consolidated file or a Hugging Face-like directory, as one JSON
/// object on stdout. Throws as finetune() does. Collective over `world`.
void evaluate(const config::Command& command, const topology::Group& world, const core::Log& log);

/// `tessera topology`: who runs where, with which libraries, and how fast links and collectives are, as text or JSON on
/// stdout. Throws AgreedUserError. Collective over `world`.
void print_topology(const config::Command& command, const topology::Group& world);

/// `tessera plan`: bytes and operations per rank, as a table or JSON on stdout. Needs no MPI and no GPU.
void print_plan(const config::Command& command);

/// `tessera report`: what the runs left, as one HTML file, whose path it prints on stdout. Throws UserError where a
/// directory holds no run or a file of it is damaged, and where the page cannot be written.
void write_report(const config::RunsConfig& request, const core::Log& log);

}  // namespace tessera::train
