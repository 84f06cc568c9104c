// What bounds a run's host memory, on machines that are made up.
#include "train/host_memory.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <string>

namespace tessera::train {
namespace {

using Texts = std::map<std::string, std::string>;

constexpr std::int64_t kGiB = std::int64_t{1} << 30U;

std::string gib(std::int64_t count) { return std::to_string(count * kGiB) + "\n"; }

HostView machine(const Texts& files, const Texts& variables = {}) {
  const auto look_up = [](Texts texts) {
    return [texts = std::move(texts)](const std::string& name) {
      const auto found = texts.find(name);
      return found == texts.end() ? std::string() : found->second;
    };
  };
  return {look_up(files), look_up(variables)};
}

// 100 GiB are available, and this process has 1 GiB.
Texts plain_machine() {
  return {{"/proc/meminfo", "MemTotal:       131072000 kB\nMemFree: 1 kB\nMemAvailable:   104857600 kB\n"},
          {"/proc/self/status", "Name:\ttessera\nVmPeak:\t 3 kB\nVmRSS:\t 1048576 kB\n"}};
}

void expect_least(const HostView& host, std::int64_t bytes, const std::string& words, int ranks = 1) {
  const HostLimit least = least_host_limit(host, ranks);
  EXPECT_EQ(least.free_bytes, bytes);
  EXPECT_NE(least.name.find(words), std::string::npos) << least.name;
}

TEST(HostMemory, IsWhatTheMachineHasAvailable) { expect_least(machine(plain_machine()), 100 * kGiB, "MemAvailable"); }

TEST(HostMemory, WithoutAnySourceHasNoBound) {
  EXPECT_EQ(least_host_limit(machine({}), 4).free_bytes, std::numeric_limits<std::int64_t>::max());
}

// The tightest is a parent's; its page cache can be dropped.
TEST(HostMemory, IsBoundByCgroupsVersion2) {
  Texts files = plain_machine();
  files["/proc/self/cgroup"] = "0::/system.slice/slurmstepd.scope/job_7/step_0/user/task_0\n";
  const std::string job = "/sys/fs/cgroup/system.slice/slurmstepd.scope/job_7";
  files[job + "/step_0/user/task_0/memory.max"] = "max\n";
  files[job + "/step_0/user/task_0/memory.current"] = gib(1);
  files[job + "/step_0/memory.max"] = gib(80);
  files[job + "/step_0/memory.current"] = gib(4);
  files[job + "/memory.max"] = gib(64);
  files[job + "/memory.current"] = gib(30);
  files[job + "/memory.stat"] = "anon 1\nfile 2\ninactive_file " + gib(20) + "active_file " + gib(4);
  expect_least(machine(files), (64 - 30 + 24) * kGiB, job + " (memory.max)");
  files[job + "/memory.current"] = gib(70);
  files[job + "/memory.stat"] = "inactive_file 0\nactive_file 0\n";
  expect_least(machine(files), 0, job);
}

// A container's own cgroup is the root of its mount, whatever its path is outside.
TEST(HostMemory, IsBoundByCgroupsVersion1) {
  Texts files = plain_machine();
  files["/proc/self/cgroup"] = "5:devices:/\n4:cpu,memory:/docker/0123\n0::/\n";
  files["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = gib(24);
  files["/sys/fs/cgroup/memory/memory.usage_in_bytes"] = gib(10);
  files["/sys/fs/cgroup/memory/memory.stat"] =
      "inactive_file 7\ntotal_inactive_file " + gib(3) + "total_active_file " + gib(1);
  expect_least(machine(files), 18 * kGiB, "/sys/fs/cgroup/memory (memory.limit_in_bytes)");
  files["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = "9223372036854771712\n";
  expect_least(machine(files), 100 * kGiB, "MemAvailable");
}

// Less what the ranks have already.
TEST(HostMemory, IsBoundByWhatSlurmGrants) {
  expect_least(machine(plain_machine(), {{"SLURM_MEM_PER_NODE", "65536"}}), (64 - 4) * kGiB, "--mem,", 4);
  expect_least(machine(plain_machine(), {{"SLURM_MEM_PER_CPU", "2048"}, {"SLURM_CPUS_ON_NODE", "16"}}), (32 - 2) * kGiB,
               "--mem-per-cpu", 2);
  expect_least(machine(plain_machine(), {{"SLURM_MEM_PER_GPU", "8192"}, {"SLURM_GPUS_ON_NODE", "2"}}), (16 - 1) * kGiB,
               "--mem-per-gpu");
  expect_least(machine(plain_machine(), {{"SLURM_MEM_PER_NODE", "0"}}), 100 * kGiB, "MemAvailable");
  expect_least(machine(plain_machine(), {{"SLURM_MEM_PER_NODE", "1024"}}), 0, "--mem,", 2);
}

TEST(HostMemory, OfThisMachineIsKnown) {
  const HostLimit least = least_host_limit(this_host(), 1);
  EXPECT_GT(least.free_bytes, 0);
  EXPECT_LT(least.free_bytes, std::int64_t{1} << 50U);
}

}  // namespace
}  // namespace tessera::train
