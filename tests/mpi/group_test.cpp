#include "support/mpi_world.hpp"
#include "tessera/core/error.hpp"
#include "tessera/topology/mesh.hpp"
#include "tessera/topology/session.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

namespace tessera::topology {
namespace {

using test::world;

TEST(Group, SelfNeedsNobody) {
  const Group self = Group::self();
  EXPECT_EQ(self.size(), 1);
  EXPECT_EQ(self.rank(), 0);
  self.barrier();
  EXPECT_EQ(self.broadcast("text", 0), "text");
  EXPECT_EQ(self.gather("mine"), std::vector<std::string>{"mine"});
  EXPECT_EQ(self.mpi_communicator(), nullptr);
  EXPECT_EQ(self.split_by_node().size(), 1);
}

TEST(Group, BroadcastsFromARankThatIsNotZero) {
  const int root = world().size() / 2;
  const std::string text = world().rank() == root ? std::string(100000, 'x') + "end" : "other";
  const std::string received = world().broadcast(text, root);
  EXPECT_EQ(received.size(), 100003U);
  EXPECT_EQ(received.substr(100000), "end");
}

TEST(Group, Reduces) {
  const int n = world().size();
  std::array<double, 2> values{static_cast<double>(world().rank()), 1.0};
  world().sum(values);
  EXPECT_EQ(values[0], n * (n - 1) / 2.0);
  EXPECT_EQ(values[1], n);
  std::array<double, 1> greatest{static_cast<double>(world().rank())};
  world().max(greatest);
  EXPECT_EQ(greatest[0], n - 1);
  std::array<double, 1> least{static_cast<double>(world().rank())};
  world().min(least);
  EXPECT_EQ(least[0], 0);
  std::array<std::int64_t, 1> count{std::int64_t{1} << 40U};
  world().sum(count);
  EXPECT_EQ(count[0], n * (std::int64_t{1} << 40U));
}

TEST(Group, GathersTextsOfDifferentLengths) {
  const auto texts = world().gather(std::string(static_cast<std::size_t>(world().rank()), 'r'));
  ASSERT_EQ(texts.size(), static_cast<std::size_t>(world().size()));
  for (std::size_t rank = 0; rank < texts.size(); ++rank) {
    EXPECT_EQ(texts[rank], std::string(rank, 'r'));
  }
}

// Two threads of every rank, each with its own communicator: neither meets the other's messages, whatever the order.
TEST(Group, ADuplicateServesAnotherThread) {
  const Group copy = world().duplicate();
  EXPECT_EQ(copy.rank(), world().rank());
  EXPECT_EQ(copy.size(), world().size());
  constexpr int kRounds = 200;
  const auto work = [](const Group& group, double weight) {
    for (int round = 0; round < kRounds; ++round) {
      std::array<double, 1> value{weight * round};
      group.sum(value);
      EXPECT_EQ(value[0], weight * round * group.size());
      const std::string text = std::to_string(weight) + "/" + std::to_string(round);
      EXPECT_EQ(group.broadcast(group.rank() == 0 ? text : "", 0), text);
      EXPECT_EQ(group.gather(text), std::vector<std::string>(static_cast<std::size_t>(group.size()), text));
      group.barrier();
    }
  };
  std::thread other([&] { work(copy, 3); });
  work(world(), 5);
  other.join();
  const auto message = [](const std::function<void()>& throws) {
    try {
      throws();
    } catch (const core::AgreedError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(message([&] {
              copy.agree([&] { core::require(copy.rank() + 1 < copy.size(), "test", "the last rank failed"); });
            }),
            "[test] the last rank failed");
}

TEST(Group, SplitsByColor) {
  const Group part = world().split(world().rank() % 2);
  EXPECT_EQ(part.rank(), world().rank() / 2);
  EXPECT_EQ(part.size(), (world().size() + 1 - world().rank() % 2) / 2);
}

TEST(Group, AgreesThatAllIsWell) {
  int calls = 0;
  world().agree([&] { ++calls; });
  EXPECT_EQ(calls, 1);
}

TEST(Group, AgreesOnTheFirstFailure) {
  const int culprit = world().size() / 2;
  try {
    world().agree([&] {
      if (world().rank() >= culprit) {
        core::fail<core::UserError>("test", "rank {} cannot", world().rank());
      }
    });
    FAIL() << "the failure of another rank must be thrown here too";
  } catch (const core::UserError& error) {
    EXPECT_EQ(std::string(error.what()), "[test] rank " + std::to_string(culprit) + " cannot");
  }
  EXPECT_THROW(world().agree([&] { core::require(world().rank() != culprit, "test", "later"); }), core::AgreedError);
}

TEST(Mesh, FindsTheRanksOfThisNode) {
  const Mesh mesh = discover_mesh(world(), DeviceRequest::kCpu);
  EXPECT_EQ(mesh.num_nodes, 1);
  EXPECT_EQ(mesh.node.size(), world().size());
  EXPECT_EQ(mesh.hosts.size(), static_cast<std::size_t>(world().size()));
  EXPECT_FALSE(mesh.device.on_gpu);
  ASSERT_EQ(mesh.placement.nodes.size(), 1U);
  EXPECT_GE(mesh.placement.nodes[0].num_cores, 1);
  ASSERT_EQ(mesh.placement.ranks.size(), mesh.hosts.size());
  for (int rank = 0; rank < world().size(); ++rank) {
    const Place& place = mesh.placement.ranks[static_cast<std::size_t>(rank)];
    EXPECT_EQ(place.host, host_name());
    EXPECT_EQ(place.node, 0);
    EXPECT_EQ(place.local_rank, rank);
    EXPECT_FALSE(place.cores.empty());
    EXPECT_FALSE(place.gpu);
  }
}

// Two halves of the world as if they were launched apart: a mesh is of the group that it was asked for.
TEST(Mesh, IsOfItsGroup) {
  const Group half = world().split(world().rank() % 2);
  const Mesh mesh = discover_mesh(half, DeviceRequest::kCpu);
  EXPECT_EQ(mesh.placement.ranks.size(), static_cast<std::size_t>(half.size()));
  EXPECT_EQ(mesh.placement.ranks[static_cast<std::size_t>(half.rank())].local_rank, half.rank());
}

TEST(Mesh, RefusesAGpuThatIsNotThere) {
  if (!visible_gpus().empty()) {
    GTEST_SKIP() << "this machine has a GPU";
  }
  EXPECT_THROW(discover_mesh(world(), DeviceRequest::kGpu), core::UserError);
  EXPECT_FALSE(discover_mesh(world(), DeviceRequest::kAuto).device.on_gpu);
}

}  // namespace
}  // namespace tessera::topology
