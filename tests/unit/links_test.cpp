// Which links are measured and what is said of them, on clusters that are not there.
#include "tessera/topology/links.hpp"
#include "support/invented_cluster.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace tessera::topology {
namespace {

using test::invented_cluster;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Placement ranks_on_one_node(int count) {
  Placement placement = invented_cluster(1);
  placement.ranks.resize(static_cast<std::size_t>(count));
  return placement;
}

TEST(PairsToMeasure, AreARingAndSamplesBetweenNodesInFewRounds) {
  EXPECT_THAT(pairs_to_measure(ranks_on_one_node(1)), IsEmpty());
  EXPECT_EQ(pairs_to_measure(ranks_on_one_node(2)).size(), 1U);
  for (const int nodes : {1, 2, 3, 4, 5, 512}) {
    for (const int missing : {0, 1}) {
      Placement placement = invented_cluster(nodes);
      placement.ranks.resize(placement.ranks.size() - static_cast<std::size_t>(missing));
      const int num_ranks = static_cast<int>(placement.ranks.size());
      const auto rounds = pairs_to_measure(placement);
      EXPECT_LE(rounds.size(), 4U);
      std::set<std::pair<int, int>> pairs;
      for (const auto& round : rounds) {
        std::set<int> busy;
        for (const RankPair& pair : round) {
          EXPECT_TRUE(busy.insert(pair.first).second && busy.insert(pair.second).second) << "at once in two pairs";
          EXPECT_LT(pair.first, pair.second);
          EXPECT_TRUE(pairs.insert({pair.first, pair.second}).second) << "measured twice";
        }
      }
      for (int rank = 0; rank + 1 < num_ranks; ++rank) {
        EXPECT_TRUE(pairs.contains({rank, rank + 1}));
      }
      EXPECT_TRUE(pairs.contains({0, num_ranks - 1}));
      EXPECT_LE(static_cast<int>(pairs.size()), num_ranks + nodes / 2);
    }
  }
}

// All links of 4 nodes alike.
std::vector<Link> invented_links(const Placement& placement) {
  std::vector<Link> links;
  for (const auto& round : pairs_to_measure(placement)) {
    for (const RankPair& pair : round) {
      const bool near = placement.ranks[static_cast<std::size_t>(pair.first)].node ==
                        placement.ranks[static_cast<std::size_t>(pair.second)].node;
      links.push_back({pair, near ? LinkKind::kSameNode : LinkKind::kBetweenNodes,
                       near ? LinkFigures{1e-6, 100e9} : LinkFigures{3e-6, 25e9}});
    }
  }
  return links;
}

TEST(SlowLinks, AreNoneAmongLinksThatAreAlike) {
  const Placement placement = invented_cluster(4);
  EXPECT_THAT(slow_links(invented_links(placement), placement, "MPI"), IsEmpty())
      << "a network is slower than a node's memory, and no fault";
}

TEST(SlowLinks, AreNamedByRanksAndHosts) {
  const Placement placement = invented_cluster(4);
  std::vector<Link> links = invented_links(placement);
  const auto between = [](const Link& link) { return link.ranks.first == 15 && link.ranks.second == 16; };
  std::ranges::find_if(links, between)->figures.rate = 12e9;
  EXPECT_THAT(slow_links(links, placement, "MPI"),
              ElementsAre(AllOf(HasSubstr("MPI between rank 15 on node2 and rank 16 on node3 carries 11.2 GiB/s"),
                                HasSubstr("median of 6 between nodes links is 23.3 GiB/s and 3.0 us"))));
  std::ranges::find_if(links, between)->figures = {10e-6, 25e9};
  EXPECT_THAT(slow_links(links, placement, "NCCL"), ElementsAre(HasSubstr("latency of 10.0 us")));
  const std::vector<LinkSummary> summaries = summarise(links);
  ASSERT_EQ(summaries.size(), 2U);
  EXPECT_EQ(summaries[0].kind, LinkKind::kSameNode);
  EXPECT_EQ(summaries[1].count, 6U);
}

TEST(SlowLinks, AreCountedWhereTheyAreMany) {
  const Placement placement = invented_cluster(512);
  std::vector<Link> links = invented_links(placement);
  for (std::size_t i = 0; i < links.size(); i += 10) {
    links[i].figures.rate /= 10;
  }
  const std::vector<std::string> words = slow_links(links, placement, "MPI");
  ASSERT_EQ(words.size(), 9U);
  EXPECT_THAT(words.back(), HasSubstr("more links over MPI are as slow"));
}

// By hand: 4 ranks, 1 GB in four parts of 0.25 GB over 1 GB/s, three steps of 0.25 s and a latency each.
TEST(RingSeconds, AreThoseOfTheModel) {
  const LinkFigures link{0.001, 1e9};
  EXPECT_DOUBLE_EQ(ring_seconds(CollectiveKind::kReduceScatter, 4, 1e9, link), 3 * 0.251);
  EXPECT_DOUBLE_EQ(ring_seconds(CollectiveKind::kAllGather, 4, 1e9, link), 3 * 0.251);
  EXPECT_DOUBLE_EQ(ring_seconds(CollectiveKind::kAllReduce, 4, 1e9, link), 6 * 0.251);
  EXPECT_DOUBLE_EQ(ring_seconds(CollectiveKind::kAllReduce, 1, 1e9, link), 0);
  EXPECT_DOUBLE_EQ(one_call_ring_seconds(CollectiveKind::kAllGather, 4, 1e9, link), 0.001 + 3 * 0.25);
  EXPECT_DOUBLE_EQ(one_call_ring_seconds(CollectiveKind::kAllReduce, 4, 1e9, link), 0.001 + 6 * 0.25);
  EXPECT_DOUBLE_EQ(one_call_ring_seconds(CollectiveKind::kAllReduce, 1, 1e9, link), 0);
}

}  // namespace
}  // namespace tessera::topology
