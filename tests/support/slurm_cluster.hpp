#pragma once

#include "support/scratch.hpp"

#include <functional>
#include <map>
#include <string>

namespace tessera::test {

/// What Slurm says of a job: scontrol's fields, such as JobState and ExitCode.
using SlurmJob = std::map<std::string, std::string>;

/// A Slurm cluster of two nodes in namespaces of this machine (tests/slurm/cluster.sh), which ends with this object or,
/// at the latest, with this process.
class SlurmCluster {
 public:
  /// Why there can be none here; empty where there can.
  static std::string missing();

  /// Throws where it does not come up.
  SlurmCluster();
  SlurmCluster(const SlurmCluster&) = delete;
  SlurmCluster& operator=(const SlurmCluster&) = delete;
  SlurmCluster(SlurmCluster&&) = delete;
  SlurmCluster& operator=(SlurmCluster&&) = delete;
  ~SlurmCluster();

  /// A command on the head node, where Slurm's are.
  [[nodiscard]] CommandResult run(const std::string& command) const;
  /// jobs/submit.sh NAME OPTIONS -- FLAGS, with two tasks of one core on a node; what the job says goes to log(id).
  [[nodiscard]] CommandResult submit(const std::string& arguments, const std::string& environment = "") const;
  /// The number of the job that a submission printed last.
  static std::string id_of(const CommandResult& submission);

  [[nodiscard]] SlurmJob job(const std::string& id) const;
  /// The job as it is when it has ended; a job that does not within two minutes as it is then.
  [[nodiscard]] SlurmJob ended(const std::string& id) const;
  /// What the job's processes printed.
  [[nodiscard]] std::string log(const std::string& id) const;

 private:
  ScratchDirectory scratch_;
};

/// Waits until it is so, for `seconds` at most, and says whether it is.
bool becomes_true(const std::function<bool()>& so, double seconds);

}  // namespace tessera::test
