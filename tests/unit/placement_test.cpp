// Where ranks run, on machines that are not there: which GPU each gets, what is wrong with a placement, how it is
// shown.
#include "tessera/topology/placement.hpp"
#include "support/invented_cluster.hpp"
#include "tessera/core/error.hpp"
#include "topology/place_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace tessera::topology {
namespace {

using test::cores_between;
using test::invented_cluster;
using test::InventedNode;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Cores, AreWrittenAsRangesAndReadAgain) {
  for (const char* text : {"", "0", "0-3", "0-3,8,10-11", "127"}) {
    EXPECT_EQ(to_ranges(parse_cores(text)), text);
  }
  EXPECT_EQ(parse_cores("0-2,7"), (Cores{0, 1, 2, 7}));
  for (const char* text : {"a", "1-", "1-x", "-1", "1,,2"}) {
    EXPECT_THROW(parse_cores(text), core::Error) << text;
  }
}

TEST(PlaceText, GivesBackWhatWasToldOfAPlace) {
  const Placement cluster = invented_cluster(1);
  const Place place = decode_place(encode(cluster.ranks[5]));
  EXPECT_EQ(place.host, "node1");
  EXPECT_EQ(place.local_rank, 5);
  EXPECT_EQ(place.cores, cores_between(32, 63));
  ASSERT_TRUE(place.gpu);
  EXPECT_EQ(place.gpu->pci, "0000:68:00.0");
  EXPECT_EQ(place.gpu->memory, std::int64_t{80} << 30U);
  EXPECT_EQ(place.gpu->numa, 1);
  const NodeFacts facts = decode_facts(encode(cluster.nodes[0]));
  EXPECT_EQ(facts.num_cores, 64);
  EXPECT_EQ(facts.gpus.size(), 8U);
  EXPECT_EQ(facts.network_cards.at(1).name, "mlx5_1");
  EXPECT_FALSE(decode_place(encode(Place{"cpu-node", 0, 0, {0}, 0, {}})).gpu);
  EXPECT_THROW(decode_place("node1\t0\t"), core::Error);
  EXPECT_THROW(decode_place("node1\tzero\t0\t0\t0\t0\t"), core::Error);
}

std::vector<GpuPlace> gpus_of_node(std::initializer_list<int> indices) {
  std::vector<GpuPlace> gpus;
  for (const int index : indices) {
    gpus.push_back(InventedNode::gpu(0, index));
  }
  return gpus;
}

TEST(ChooseGpus, GivesUnboundRanksTheirsInOrder) {
  const GpuChoice any{cores_between(0, 63), gpus_of_node({0, 1, 2, 3})};
  EXPECT_THAT(choose_gpus({any, any, any, any}), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(choose_gpus({any, any}), ElementsAre(0, 1));
  EXPECT_THAT(choose_gpus({any, any, any, any, any}), ElementsAre(0, 1, 2, 3, 0));
  EXPECT_THAT(choose_gpus({{cores_between(0, 63), {}}}), ElementsAre(-1));
}

TEST(ChooseGpus, GivesRanksThatSeeOneGpuThatOne) {
  std::vector<GpuChoice> ranks;
  for (const int gpu : {2, 0, 3, 1}) {
    ranks.push_back({cores_between(0, 63), gpus_of_node({gpu})});
  }
  EXPECT_THAT(choose_gpus(ranks), ElementsAre(0, 0, 0, 0));
}

TEST(ChooseGpus, LeavesToARankThatSeesOneGpuThatOne) {
  const GpuChoice all{cores_between(0, 63), gpus_of_node({0, 1})};
  const GpuChoice first{cores_between(0, 63), gpus_of_node({0})};
  EXPECT_THAT(choose_gpus({all, first}), ElementsAre(1, 0));
}

// mpirun --bind-to numa deals ranks to the sockets in turn.
TEST(ChooseGpus, TakesTheGpuNearTheRanksCores) {
  std::vector<GpuChoice> ranks;
  for (int rank = 0; rank < 8; ++rank) {
    ranks.push_back({InventedNode::near(rank % 2 == 0 ? 0 : 7), gpus_of_node({0, 1, 2, 3, 4, 5, 6, 7})});
  }
  EXPECT_THAT(choose_gpus(ranks), ElementsAre(0, 4, 1, 5, 2, 6, 3, 7));
}

TEST(RanksOnGpuOf, CountsThoseThatShareIt) {
  Placement placement = invented_cluster(2);
  EXPECT_EQ(ranks_on_gpu_of(placement, 9), 1);
  placement.ranks[8].gpu = placement.ranks[10].gpu = placement.ranks[9].gpu;
  EXPECT_EQ(ranks_on_gpu_of(placement, 9), 3);
  placement.ranks[9].gpu.reset();
  EXPECT_EQ(ranks_on_gpu_of(placement, 9), 0);
}

TEST(ShareOfCores, DividesWhatRanksHaveTogether) {
  Placement placement = invented_cluster(2);
  EXPECT_EQ(share_of_cores(placement, 0), 8);
  for (Place& place : placement.ranks) {
    place.cores = {place.local_rank};
  }
  EXPECT_EQ(share_of_cores(placement, 9), 1);
  placement.ranks[9].cores = cores_between(8, 20);
  EXPECT_EQ(share_of_cores(placement, 9), 13);
  for (Place& place : placement.ranks) {
    place.cores = {0, 1};
  }
  EXPECT_EQ(share_of_cores(placement, 3), 1) << "eight ranks on two cores";
}

TEST(PlacementWarnings, AreNoneForAWellMadeJob) {
  for (const int nodes : {1, 2, 512}) {
    EXPECT_THAT(placement_warnings(invented_cluster(nodes)), IsEmpty());
  }
  Placement cpu;
  cpu.nodes = {{"laptop", 2, 1}};
  cpu.ranks = {{"laptop", 0, 0, {0, 1}, 0, {}}, {"laptop", 0, 1, {0, 1}, 0, {}}, {"laptop", 0, 2, {0, 1}, 0, {}}};
  EXPECT_THAT(placement_warnings(cpu), IsEmpty()) << "three ranks on two cores leave none idle";
}

TEST(PlacementWarnings, SayThatTwoRanksShareAGpuWhileAnotherIdles) {
  Placement placement = invented_cluster(1);
  placement.ranks[3].gpu = placement.nodes[0].gpus[2];
  EXPECT_THAT(placement_warnings(placement),
              ElementsAre(AllOf(HasSubstr("node1: local ranks 2 and 3 share a GPU while the one at 0000:48:00.0 idles"),
                                HasSubstr("--gpus-per-task=1"))));
}

TEST(PlacementWarnings, SayThatThereAreMoreRanksThanGpus) {
  Placement placement = invented_cluster(1);
  placement.nodes[0].gpus.resize(4);
  for (Place& place : placement.ranks) {
    place.gpu = placement.nodes[0].gpus[static_cast<std::size_t>(place.local_rank % 4)];
    place.cores = cores_between(0, 63);
  }
  EXPECT_THAT(placement_warnings(placement),
              ElementsAre(AllOf(HasSubstr("8 ranks share 4 GPUs"), HasSubstr("--ntasks-per-node=4"))));
}

TEST(PlacementWarnings, SayThatGpusHaveNoRank) {
  Placement placement = invented_cluster(1);
  placement.ranks.resize(6);
  EXPECT_THAT(placement_warnings(placement),
              ElementsAre(AllOf(HasSubstr("2 of 8 GPUs idle"), HasSubstr("--map-by ppr:8:node"))));
}

TEST(PlacementWarnings, SayThatAGpuIsAcrossTheSocket) {
  Placement placement = invented_cluster(1);
  std::swap(placement.ranks[1].cores, placement.ranks[6].cores);
  EXPECT_THAT(
      placement_warnings(placement),
      ElementsAre(AllOf(HasSubstr("local ranks 1 and 6 may run only on cores away from the GPU"),
                        HasSubstr("on 32-63, the GPU at 0000:28:00.0 is at 0-31"), HasSubstr("--gpu-bind=closest"))));
}

TEST(PlacementWarnings, SayThatCoresAreLeftUnused) {
  Placement placement = invented_cluster(1);
  for (Place& place : placement.ranks) {
    place.cores = {place.local_rank < 4 ? place.local_rank : 32 + place.local_rank};
  }
  EXPECT_THAT(placement_warnings(placement),
              ElementsAre(AllOf(HasSubstr("one of 64 cores"), HasSubstr("--cpus-per-task=8"))));
  for (Place& place : placement.ranks) {
    place.cores = {0, 1, 32, 33};
  }
  EXPECT_THAT(placement_warnings(placement), ElementsAre(HasSubstr("8 ranks share 4 cores of the 64")));
}

TEST(PlacementWarnings, SayThatNodesAreUnequal) {
  Placement placement = invented_cluster(3);
  placement.nodes[2].gpus.resize(4);
  placement.ranks.resize(20);
  for (GpuPlace& gpu : placement.nodes[1].gpus) {
    gpu.name = "NVIDIA A100";
  }
  EXPECT_THAT(placement_warnings(placement),
              ElementsAre(HasSubstr("ranks, 4 ranks on node3 and 8 ranks on node1 and 1 other node"),
                          HasSubstr("GPUs, 4 GPUs on node3 and 8 GPUs on node1 and 1 other node"),
                          HasSubstr("NVIDIA A100 on node2 and NVIDIA H100 on node1 and 1 other node")));
}

TEST(PlacementWarnings, SayThatAHostIsSplit) {
  Placement placement = invented_cluster(2);
  for (std::size_t rank = 8; rank < 16; ++rank) {
    placement.ranks[rank].host = "node1";
  }
  placement.nodes[1].host = "node1";
  EXPECT_THAT(placement_warnings(placement),
              ElementsAre(AllOf(HasSubstr("ranks on node1 do not share memory"), HasSubstr("--ipc=host"))));
}

TEST(PlacementWarnings, SayOnceWhatFiveHundredNodesHaveAlike) {
  Placement placement = invented_cluster(512);
  ASSERT_EQ(placement.ranks.size(), 4096U);
  for (Place& place : placement.ranks) {
    place.cores = InventedNode::near(7 - place.local_rank);
  }
  EXPECT_THAT(placement_warnings(placement),
              ElementsAre(HasSubstr("node1 and 511 other nodes: local ranks 0, 1, 2, ")));
}

TEST(PlacementTable, ShowsNodesThatAreAlikeOnce) {
  const std::string text = to_table(invented_cluster(512));
  EXPECT_THAT(text,
              HasSubstr("node1 and 511 other nodes like it with ranks 0-7: 64 cores, 2 NUMA nodes, mlx5_0 (NUMA 0)"));
  EXPECT_EQ(std::ranges::count(text, '\n'), 9) << text;
}

TEST(PlacementTable, ShowsAtMostSoManyLayouts) {
  Placement placement = invented_cluster(20);
  for (std::size_t node = 0; node < placement.nodes.size(); ++node) {
    placement.nodes[node].num_cores += static_cast<int>(node);
  }
  const std::string text = to_table(placement, 3);
  EXPECT_THAT(text, HasSubstr("and 17 other layouts of nodes"));
  EXPECT_EQ(std::ranges::count(text, '\n'), 3 * 10) << text;
}

}  // namespace
}  // namespace tessera::topology
