#pragma once

#include "tessera/config/run_config.hpp"
#include "tessera/core/log.hpp"
#include "tessera/data/dataset.hpp"
#include "tessera/engine/memory_plan.hpp"
#include "tessera/report/evaluation.hpp"
#include "tessera/state/run_state.hpp"
#include "tessera/topology/group.hpp"
#include "train/evaluation.hpp"
#include "train/platform.hpp"

#include <optional>
#include <string>
#include <vector>

namespace tessera::train {

/// On the first rank: makes the output directory, sees that it can be written, puts in order what a killed run left,
/// and finds the checkpoint that --resume asks for. Throws UserError where the directory cannot be written, where it
/// holds a run that was not asked to be resumed, or where there is no such checkpoint. To be called within
/// Group::agree; other ranks do nothing.
std::optional<std::string> prepare_output(const config::RunConfig& config, bool is_first, const core::Log& log);

/// The first rank's path on every rank. Collective over `world`.
std::optional<std::string> share_path(const std::optional<std::string>& path, const topology::Group& world);

/// args.json: every effective setting, versions, world, host names. Does nothing without an output directory.
void write_args(const config::RunConfig& config, const Platform& platform);

/// memory_plan.json: what each rank is planned to take. Does nothing without an output directory.
void write_memory_plan(const config::RunConfig& config, const Platform& platform, const engine::MemoryPlan& plan);

/// evaluation.json and predictions.jsonl, on the first rank: the newest evaluation of a run, as `tessera eval` writes
/// one. Does nothing without an output directory.
void write_evaluation(const config::RunConfig& config, const Platform& platform, const EvaluatedSet& set,
                      const data::Dataset& dataset);

/// What tells a person which image each index is; empty where images have no names but their numbers.
std::vector<std::string> image_names(const data::Dataset& dataset, config::DatasetKind kind);

/// On the first rank: that `path`, which `flag` names, can be written, with the directories that it needs; an empty
/// path can. Throws UserError. What stands at `path` stays.
void require_writable_file(const char* flag, const std::string& path);

/// The outcome of an evaluation as a table for people, through `log`, and on the first rank as a line of JSON on
/// stdout.
void print_evaluation(const report::Evaluation& evaluation, const Platform& platform, const core::Log& log);

/// final_results.json of a linear probe, where there is an output directory: best and last accuracy, and how long this
/// process took.
void write_final_results(const std::string& output_dir, const state::RunState& run, const report::Evaluation& last,
                         double seconds);

}  // namespace tessera::train
