#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace tessera::train {

/// How a process sees its machine; tests show it another one.
struct HostView {
  std::function<std::string(const std::string& path)> read;      ///< a file's text; empty where it cannot be read
  std::function<std::string(const std::string& name)> variable;  ///< of the environment; empty where it is not set
};

HostView this_host();

/// Something that bounds the host memory of all of a run's ranks on this node together.
struct HostLimit {
  std::string name;             ///< "the node's available memory"
  std::int64_t free_bytes = 0;  ///< that are left of it
};

/// What is left on this node to the `ranks` ranks that the run has there: of the machine (MemAvailable), of the memory
/// cgroups around this process (versions 1 and 2; the page cache in them counts as left, as the kernel can drop it),
/// and of what Slurm was asked for (--mem, --mem-per-cpu, --mem-per-gpu), which a site may enforce by other means.
///
/// RLIMIT_MEMLOCK is none of them: it bounds mlock(), while CUDA's driver pins pages on its own account.
std::vector<HostLimit> host_limits(const HostView& host, int ranks);

/// The one of these with the least left; where the machine says nothing, a limit without bound.
HostLimit least_host_limit(const HostView& host, int ranks);

}  // namespace tessera::train
