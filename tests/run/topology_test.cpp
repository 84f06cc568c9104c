// `tessera topology` on the ranks of this machine.
#include "support/small_run.hpp"
#include "support/two_nodes.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace tessera::test {
namespace {

using Json = nlohmann::json;

// What stands before the object is mpirun's.
Json json_in(const CommandResult& result) {
  EXPECT_EQ(result.status, 0) << result.output;
  const std::size_t start = result.output.find('{');
  return start == std::string::npos ? Json() : Json::parse(result.output.substr(start));
}

TEST(TopologyTest, TellsWhereRanksRunAndHowFastTheyTalk) {
  for (const int ranks : {1, 2, 3, 4}) {
    const Json json = json_in(run_ranks(ranks, "topology --json --message_size 1MiB --device cpu"));
    EXPECT_EQ(json["world_size"], ranks);
    ASSERT_EQ(json["nodes"].size(), 1U);
    EXPECT_GE(json["nodes"][0]["cores"].get<int>(), 1);
    ASSERT_EQ(json["ranks"].size(), static_cast<std::size_t>(ranks));
    EXPECT_EQ(json["ranks"].back()["local_rank"], ranks - 1);
    EXPECT_FALSE(json["ranks"][0]["cores"].get<std::string>().empty());
    EXPECT_TRUE(json["versions"].contains("mpi"));
    if (ranks == 1) {
      EXPECT_FALSE(json.contains("links"));
      continue;
    }
    EXPECT_EQ(json["links"].size(), ranks == 2 ? 1U : static_cast<std::size_t>(ranks)) << "a ring";
    for (const Json& link : json["links"]) {
      EXPECT_EQ(link["over"], "MPI");
      EXPECT_GT(link["latency_seconds"].get<double>(), 0);
      EXPECT_GT(link["bytes_per_second"].get<double>(), 0);
    }
    ASSERT_EQ(json["collectives"].size(), 3U);
    for (const Json& collective : json["collectives"]) {
      EXPECT_GT(collective["seconds"].get<double>(), 0);
      EXPECT_GT(collective["expected_seconds"].get<double>(), 0);
    }
  }
}

// Open MPI's daemon would be a child from beginning to end.
TEST(TopologyTest, OneProcessIsServedByNoDaemon) {
  const CommandResult seen =
      run_command("{ " + std::string(TESSERA_BIN) + " topology --no_measure --device cpu > /dev/null & } ; p=$!\n" +
                  R"(while kill -0 $p 2> /dev/null; do grep -lsE "^PPid:[[:space:]]+$p\$" /proc/[0-9]*/status; done
         wait $p && echo ended well)");
  EXPECT_EQ(seen.output, "ended well\n");
}

TEST(TopologyTest, ShowsTables) {
  const std::string measured = run_ranks(2, "topology --message_size 1MiB --device cpu").output;
  for (const char* words :
       {"with ranks 0-1", "local rank", "NUMA", "mpi Open MPI", "links over MPI", "reduce-scatter"}) {
    EXPECT_NE(measured.find(words), std::string::npos) << words << " in\n" << measured;
  }
  const CommandResult printed = run_ranks(2, "topology --no_measure --device cpu");
  EXPECT_EQ(printed.status, 0);
  EXPECT_NE(printed.output.find("with ranks 0-1"), std::string::npos);
  EXPECT_EQ(printed.output.find("links over"), std::string::npos) << printed.output;
}

TEST(TopologyTest, SaysThatTheLauncherLeftCoresUnused) {
  const Json free = json_in(run_ranks(2, "topology --no_measure --json --device cpu"));
  if (free["nodes"][0]["cores"].get<int>() < 4) {
    GTEST_SKIP() << "a rank bound to one core has its share here";
  }
  const Json bound = json_in(run_command(std::string(TESSERA_MPIEXEC) + " --bind-to core -n 2 " + TESSERA_BIN +
                                         " topology --no_measure --json"));
  EXPECT_NE(bound["warnings"].dump().find("--bind-to none"), std::string::npos) << bound["warnings"];
}

TEST(TopologyTest, TellsNodesApartByTheirMemory) {
  const ScratchDirectory scratch;
  const std::string mpirun = mpirun_on_two_nodes(scratch, TESSERA_MPIEXEC, 2);
  if (mpirun.empty()) {
    GTEST_SKIP() << "two nodes on one machine need root";
  }
  const Json json =
      json_in(run_command("timeout 120 " + mpirun + TESSERA_BIN + " topology --json --device cpu --message_size 1MiB"));
  ASSERT_EQ(json["nodes"].size(), 2U);
  EXPECT_EQ(json["nodes"][1]["host"], "second-node");
  EXPECT_EQ(json["ranks"][2]["node"], 1);
  EXPECT_EQ(json["ranks"][2]["local_rank"], 0);
  int between = 0;
  for (const Json& link : json["links"]) {
    between += link["kind"] == "between nodes" ? 1 : 0;
  }
  EXPECT_EQ(between, 2) << "ranks 1 and 2, and the ring's end";
}

// srun without PMIx: each process is alone. The first of them speaks for all.
TEST(TopologyTest, RefusesProcessesThatDoNotFindEachOther) {
  const std::string start = std::string(TESSERA_BIN) + " topology --no_measure";
  const CommandResult first = run_command("SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=0 " + start);
  EXPECT_EQ(first.status, 2);
  EXPECT_NE(first.output.find("started 4 processes, but each sees an MPI world of one"), std::string::npos)
      << first.output;
  EXPECT_NE(first.output.find("--mpi=pmix"), std::string::npos);
  const CommandResult other = run_command("SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=3 " + start);
  EXPECT_EQ(other.status, 2);
  EXPECT_EQ(other.output, "");
  const CommandResult few =
      run_command(std::string(TESSERA_MPIEXEC) + " --oversubscribe -n 2 env OMPI_COMM_WORLD_SIZE=3 " + start);
  EXPECT_NE(few.status, 0);
  EXPECT_NE(few.output.find("started 3 processes, and MPI's world has 2"), std::string::npos) << few.output;
}

TEST(TopologyTest, RefusesFlagsOfOthersAndGpusThatAreNotThere) {
  const auto refused = [](const std::string& arguments, const std::string& words) {
    const CommandResult result = tessera("topology " + arguments);
    EXPECT_EQ(result.status, 2) << result.output;
    EXPECT_NE(result.output.find(words), std::string::npos) << result.output;
  };
  refused("--lr 1", "--lr is not a flag of 'tessera topology'");
  refused("--message_size 0", "--message_size");
  refused("--no_mesure", "did you mean --no_measure?");
  refused("nodes", "'nodes' stands where a flag should");
  const CommandResult help = tessera("topology --help");
  EXPECT_EQ(help.status, 0);
  EXPECT_NE(help.output.find("--message_size"), std::string::npos);
}

}  // namespace
}  // namespace tessera::test
