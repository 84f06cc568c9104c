#pragma once

#include <chrono>
#include <optional>

namespace tessera::train {

/// When the Slurm job that this process is part of ends by its time limit: SLURM_JOB_END_TIME where Slurm sets it
/// (23.02 and later), else as squeue answers, which is asked once. Nothing outside of a job, or where there is no
/// limit.
std::optional<std::chrono::system_clock::time_point> end_of_slurm_job();

}  // namespace tessera::train
