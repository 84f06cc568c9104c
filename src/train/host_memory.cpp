#include "train/host_memory.hpp"

#include "tessera/core/parse_number.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>

namespace tessera::train {
namespace {

using Bytes = std::optional<std::int64_t>;

constexpr std::int64_t kWithoutBound = std::numeric_limits<std::int64_t>::max();

// A file that is one number; "max" of cgroups is none.
Bytes number_in(const std::string& text) {
  return core::parse_number<std::int64_t>(std::string_view(text).substr(0, text.find_first_of(" \n")));
}

// The number behind a line's first word: of "MemAvailable:   123 kB" or "inactive_file 456".
Bytes number_behind(const std::string& text, std::string_view name) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word;
    std::int64_t number = 0;
    if (words >> word >> number && word.substr(0, word.find(':')) == name) {
      return number;
    }
  }
  return std::nullopt;
}

// The names of a cgroup version's files.
struct CgroupFiles {
  const char* mount;
  const char* limit;
  const char* used;
  const char* cache[2];  // lines of memory.stat
};
constexpr CgroupFiles kVersion1{"/sys/fs/cgroup/memory",
                                "memory.limit_in_bytes",
                                "memory.usage_in_bytes",
                                {"total_inactive_file", "total_active_file"}};
constexpr CgroupFiles kVersion2{"/sys/fs/cgroup", "memory.max", "memory.current", {"inactive_file", "active_file"}};

void add_cgroup(const HostView& host, const CgroupFiles& files, const std::string& directory,
                std::vector<HostLimit>& limits) {
  const Bytes limit = number_in(host.read(directory + "/" + files.limit));
  const Bytes used = number_in(host.read(directory + "/" + files.used));
  if (!limit || !used) {
    return;
  }
  const std::string stat = host.read(directory + "/memory.stat");
  const std::int64_t cache =
      number_behind(stat, files.cache[0]).value_or(0) + number_behind(stat, files.cache[1]).value_or(0);
  limits.push_back({fmt::format("the limit of the cgroup {} ({})", directory, files.limit),
                    std::max<std::int64_t>(0, *limit - std::max<std::int64_t>(0, *used - cache))});
}

// Those of a cgroup and of all above it. In a container the mount begins at the container's own, whose path is another
// outside: what cannot be found is passed over.
void add_cgroups(const HostView& host, const CgroupFiles& files, std::string path, std::vector<HostLimit>& limits) {
  while (!path.empty() && path != "/") {
    add_cgroup(host, files, files.mount + path, limits);
    path.resize(path.find_last_of('/'));
  }
  add_cgroup(host, files, files.mount, limits);
}

// Lines "4:memory:/path" (version 1) and "0::/path" (version 2).
void add_all_cgroups(const HostView& host, std::vector<HostLimit>& limits) {
  std::istringstream lines(host.read("/proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) {
      continue;
    }
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    if (controllers == ",,") {
      add_cgroups(host, kVersion2, line.substr(second + 1), limits);
    } else if (controllers.find(",memory,") != std::string::npos) {
      add_cgroups(host, kVersion1, line.substr(second + 1), limits);
    }
  }
}

// Slurm's variables are in MiB; --mem=0, all of a node, is no limit.
void add_slurm(const HostView& host, int ranks, std::vector<HostLimit>& limits) {
  struct Request {
    const char* variable;
    const char* option;
    const char* count;  // of what it is given for; empty: the node
  };
  constexpr Request kRequests[] = {{"SLURM_MEM_PER_NODE", "--mem", ""},
                                   {"SLURM_MEM_PER_CPU", "--mem-per-cpu", "SLURM_CPUS_ON_NODE"},
                                   {"SLURM_MEM_PER_GPU", "--mem-per-gpu", "SLURM_GPUS_ON_NODE"}};
  // What the ranks have already; they are alike.
  const std::int64_t used = number_behind(host.read("/proc/self/status"), "VmRSS").value_or(0) * 1024 * ranks;
  for (const Request& request : kRequests) {
    const Bytes mib = number_in(host.variable(request.variable));
    const Bytes count = *request.count == '\0' ? Bytes(1) : number_in(host.variable(request.count));
    if (mib && *mib > 0 && count) {
      limits.push_back({fmt::format("what Slurm grants on the node ({}, {})", request.option, request.variable),
                        std::max<std::int64_t>(0, *mib * *count * (1 << 20) - used)});
    }
  }
}

}  // namespace

HostView this_host() {
  return {[](const std::string& path) {
            std::ifstream file(path);
            return std::string(std::istreambuf_iterator<char>(file), {});
          },
          [](const std::string& name) {
            const char* const value = std::getenv(name.c_str());
            return std::string(value == nullptr ? "" : value);
          }};
}

std::vector<HostLimit> host_limits(const HostView& host, int ranks) {
  std::vector<HostLimit> limits;
  constexpr std::string_view kAvailable = "MemAvailable";
  if (const Bytes kib = number_behind(host.read("/proc/meminfo"), kAvailable)) {
    limits.push_back({fmt::format("the node's available memory ({})", kAvailable), *kib * 1024});
  }
  add_all_cgroups(host, limits);
  add_slurm(host, ranks, limits);
  return limits;
}

HostLimit least_host_limit(const HostView& host, int ranks) {
  const std::vector<HostLimit> limits = host_limits(host, ranks);
  const auto least = std::ranges::min_element(limits, {}, &HostLimit::free_bytes);
  return least == limits.end() ? HostLimit{"the node's memory, of which it says nothing", kWithoutBound} : *least;
}

}  // namespace tessera::train
