#pragma once

#include "support/scratch.hpp"

#include <string>

namespace tessera::test {

/// mpirun's words that start `ranks_per_node` ranks on each of two nodes, which are this machine twice: in place of
/// ssh, mpirun calls a script that starts its daemon here under another host name. Ranks of one do not count as sharing
/// memory with ranks of the other, and talk over TCP. Empty where the system gives no host name of one's own (that
/// takes root).
inline std::string mpirun_on_two_nodes(const ScratchDirectory& scratch, const std::string& mpiexec,
                                       int ranks_per_node) {
  if (run_command("unshare --uts true").status != 0) {
    return "";
  }
  const std::string agent = scratch.file("agent.sh");
  write_file(agent, R"(#!/bin/bash
while [[ $1 == -* ]]; do shift; done
host=$1
shift
exec unshare --uts bash -c "hostname $host; $*"
)");
  run_command("chmod +x " + agent);
  const std::string each = std::to_string(ranks_per_node);
  return mpiexec + " --mca plm_rsh_agent " + agent + " --mca btl tcp,self --oversubscribe -H $(hostname):" + each +
         ",second-node:" + each + " -n " + std::to_string(2 * ranks_per_node) + " ";
}

}  // namespace tessera::test
