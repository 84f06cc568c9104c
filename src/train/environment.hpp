#pragma once

#include "tessera/topology/group.hpp"

#include <string>
#include <utility>
#include <vector>

namespace tessera::train {

/// A library, as the program was compiled against it and as it runs with it: "2.28.9". Empty: not in this build.
struct Library {
  std::string name;
  std::string compiled;
  std::string found;

  bool operator==(const Library&) const = default;
};

/// What a rank runs with.
struct Environment {
  Library tessera{"tessera", "", ""};
  Library mpi{"mpi", "", ""};
  Library hdf5{"hdf5", "", ""};
  Library torch{"torch", "", ""};
  Library cuda{"cuda", "", ""};  ///< the runtime
  Library nccl{"nccl", "", ""};
  std::string driver;       ///< of the GPU, as its kernel module says; empty: there is none
  std::string driver_cuda;  ///< the newest CUDA that the driver knows: "13.0"; empty: there is none
  bool hdf5_is_parallel = true;

  bool operator==(const Environment&) const = default;
};

/// Of this process.
Environment this_environment();

/// What keeps a run from being sound, each with what mends it. `uses_gpus`: the run may take GPUs, where there are any.
std::vector<std::string> environment_problems(const Environment& environment, bool uses_gpus);

/// Throws AgreedUserError where a rank's environment is unsound, or where ranks run with different ones. Collective
/// over `world`.
void require_sound_environment(const topology::Group& world, bool uses_gpus);

/// The second half of that, with what this rank says of itself.
void require_same_environment(const topology::Group& world, const Environment& mine);

/// Names and versions, for args.json and people: what runs, and under "NAME (compiled)" what it was compiled against
/// where that differs.
std::vector<std::pair<std::string, std::string>> versions_of(const Environment& environment);

}  // namespace tessera::train
