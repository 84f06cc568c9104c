#include "support/slurm_cluster.hpp"

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace tessera::test {
namespace {

constexpr double kJobSeconds = 120;

CommandResult cluster(const std::string& arguments) { return run_command(TESSERA_SLURM "/cluster.sh " + arguments); }

bool is_over(const std::string& state) {
  static const std::set<std::string> kOver{"CANCELLED", "COMPLETED", "FAILED", "NODE_FAIL", "TIMEOUT"};
  return kOver.contains(state);
}

}  // namespace

std::string SlurmCluster::missing() {
  const CommandResult check = cluster("check");
  return check.status == 0 ? "" : check.output;
}

SlurmCluster::SlurmCluster() {
  const CommandResult up = cluster("up " + scratch_.path() + " " + std::to_string(::getpid()));
  if (up.status != 0) {
    throw std::runtime_error("no Slurm cluster: " + up.output);
  }
}

SlurmCluster::~SlurmCluster() { cluster("down " + scratch_.path()); }

CommandResult SlurmCluster::run(const std::string& command) const {
  return cluster("exec " + scratch_.path() + " " + command);
}

CommandResult SlurmCluster::submit(const std::string& arguments, const std::string& environment) const {
  const std::size_t options = std::min(arguments.find(' '), arguments.size());
  // More ranks than cores: mpirun would see that, srun does not.
  return run("env -u SLURM_JOB_ID OMPI_MCA_mpi_yield_when_idle=1 TESSERA_BIN=" +
             std::filesystem::path(TESSERA_BIN).parent_path().string() + " " + environment +
             " " TESSERA_JOBS "/submit.sh " + arguments.substr(0, options) +
             " --ntasks-per-node 2 --sbatch --cpus-per-task=1 --sbatch --gpus-per-node=2 --sbatch --mem=500 --sbatch "
             "--time=10 --sbatch --output=" +
             scratch_.file("%j.out") + arguments.substr(options));
}

std::string SlurmCluster::id_of(const CommandResult& submission) {
  std::istringstream lines(submission.output);
  std::string last;
  for (std::string line; std::getline(lines, line);) {
    last = line;
  }
  if (submission.status != 0 || last.empty() || last.find_first_not_of("0123456789") != std::string::npos) {
    throw std::runtime_error("no job was submitted: " + submission.output);
  }
  return last;
}

SlurmJob SlurmCluster::job(const std::string& id) const {
  SlurmJob job;
  std::istringstream words(run("scontrol show job --oneliner " + id).output);
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    if (equals != std::string::npos) {
      job.emplace(word.substr(0, equals), word.substr(equals + 1));
    }
  }
  return job;
}

SlurmJob SlurmCluster::ended(const std::string& id) const {
  SlurmJob found;
  becomes_true(
      [&] {
        found = job(id);
        return is_over(found["JobState"]);
      },
      kJobSeconds);
  return found;
}

std::string SlurmCluster::log(const std::string& id) const {
  const std::string path = scratch_.file(id + ".out");
  return std::filesystem::exists(path) ? read_file(path) : "";
}

bool becomes_true(const std::function<bool()>& so, double seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!so()) {
    if (std::chrono::steady_clock::now() > end) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return true;
}

}  // namespace tessera::test
