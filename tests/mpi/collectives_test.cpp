// Conformance of every Collectives: closed-form data, each rank checks its own part. Device backends run where there
// is a GPU; NCCL only where every rank has one of its own.
#include "comm/backends.hpp"
#include "support/device_buffer.hpp"
#include "support/mpi_world.hpp"
#include "tessera/comm/make_collectives.hpp"
#include "tessera/core/error.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

namespace tessera::comm {
namespace {

using test::DeviceBuffer;
using test::world;

struct BackendCase {
  std::string name;
  bool on_device;
};

// Small integers: exact in bf16 (|value| <= 256) and their sums over four ranks too.
float value_of(int rank, std::size_t i) { return static_cast<float>((rank + 1) * (static_cast<int>(i % 13) - 6)); }
float sum_of(int num_ranks, std::size_t i) {
  return static_cast<float>(num_ranks * (num_ranks + 1) / 2) * static_cast<float>(static_cast<int>(i % 13) - 6);
}

class CollectivesTest : public testing::TestWithParam<BackendCase> {
 protected:
  void SetUp() override {
    const topology::Mesh mesh = topology::discover_mesh(world(), topology::DeviceRequest::kAuto);
    if (GetParam().on_device && !mesh.device.on_gpu) {
      GTEST_SKIP() << "no CUDA device";
    }
    if (GetParam().name == "nccl" && mesh.device.gpus_are_shared) {
      GTEST_SKIP() << "NCCL needs a GPU for every rank";
    }
    if (GetParam().name == "self" && world().size() > 1) {
      GTEST_SKIP() << "for one rank";
    }
    collectives_ = GetParam().name == "self"   ? make_self()
                   : GetParam().name == "nccl" ? make_nccl(world())
                   : GetParam().on_device      ? make_mpi_staged(world())
                                               : make_mpi_host(world());
  }

  [[nodiscard]] DeviceBuffer buffer(std::size_t count, core::DType dtype) const {
    return {count, dtype, GetParam().on_device};
  }
  [[nodiscard]] std::size_t ranks() const { return static_cast<std::size_t>(world().size()); }
  [[nodiscard]] std::size_t rank() const { return static_cast<std::size_t>(world().rank()); }

  std::unique_ptr<Collectives> collectives_;
};

constexpr std::size_t kCounts[] = {1, 7, 64, 100003};
constexpr core::DType kTypes[] = {core::DType::kFloat32, core::DType::kBFloat16};

TEST_P(CollectivesTest, ReduceScatterGivesEachRankItsPartOfTheSum) {
  for (const core::DType dtype : kTypes) {
    for (const std::size_t count : kCounts) {
      DeviceBuffer send = buffer(count * ranks(), dtype);
      send.fill([&](std::size_t i) { return value_of(world().rank(), i); });
      DeviceBuffer receive = buffer(count, dtype);
      void* target = ranks() == 1 ? send.data() : receive.data();
      collectives_->reduce_scatter(send.data(), target, count, dtype, send.stream()).wait(send.stream());
      const std::vector<float> got = ranks() == 1 ? send.read() : receive.read();
      for (std::size_t i = 0; i < count; ++i) {
        ASSERT_EQ(got[i], sum_of(world().size(), rank() * count + i)) << "element " << i << " of " << count;
      }
    }
  }
}

TEST_P(CollectivesTest, ReduceScatterInPlace) {
  const std::size_t count = 1000;
  DeviceBuffer send = buffer(count * ranks(), core::DType::kFloat32);
  send.fill([&](std::size_t i) { return value_of(world().rank(), i); });
  void* mine = static_cast<float*>(send.data()) + rank() * count;
  Ticket ticket = collectives_->reduce_scatter(send.data(), ranks() == 1 ? send.data() : mine, count,
                                               core::DType::kFloat32, send.stream());
  ticket.wait(send.stream());
  EXPECT_FALSE(ticket.pending());
  const std::vector<float> got = send.read();
  for (std::size_t i = rank() * count; i < (rank() + 1) * count; ++i) {
    ASSERT_EQ(got[i], sum_of(world().size(), i));
  }
}

TEST_P(CollectivesTest, AllGatherInPlaceAndOutOfPlace) {
  for (const core::DType dtype : kTypes) {
    for (const std::size_t count : kCounts) {
      for (const bool in_place : {true, false}) {
        if (ranks() == 1 && !in_place) {
          continue;
        }
        DeviceBuffer receive = buffer(count * ranks(), dtype);
        receive.fill([&](std::size_t i) { return i / count == rank() ? value_of(world().rank(), i) : -1.0F; });
        DeviceBuffer send = buffer(count, dtype);
        send.fill([&](std::size_t i) { return value_of(world().rank(), rank() * count + i); });
        const void* mine = static_cast<std::byte*>(receive.data()) + rank() * count * core::size_of(dtype);
        collectives_->all_gather(in_place ? mine : send.data(), receive.data(), count, dtype, send.stream())
            .wait(send.stream());
        const std::vector<float> got = receive.read();
        for (std::size_t i = 0; i < got.size(); ++i) {
          ASSERT_EQ(got[i], value_of(static_cast<int>(i / count), i)) << "element " << i << " of " << got.size();
        }
      }
    }
  }
}

TEST_P(CollectivesTest, AllReduceAndBroadcast) {
  for (const core::DType dtype : kTypes) {
    for (const std::size_t count : kCounts) {
      DeviceBuffer values = buffer(count, dtype);
      values.fill([&](std::size_t i) { return value_of(world().rank(), i); });
      collectives_->all_reduce(values.data(), count, dtype, values.stream()).wait(values.stream());
      std::vector<float> got = values.read();
      for (std::size_t i = 0; i < count; ++i) {
        ASSERT_EQ(got[i], sum_of(world().size(), i));
      }
      const int root = world().size() / 2;
      values.fill([&](std::size_t i) { return world().rank() == root ? value_of(7, i) : 0.0F; });
      collectives_->broadcast(values.data(), count, dtype, root, values.stream()).wait(values.stream());
      got = values.read();
      for (std::size_t i = 0; i < count; ++i) {
        ASSERT_EQ(got[i], value_of(7, i));
      }
    }
  }
}

TEST_P(CollectivesTest, SeveralMayBeInFlight) {
  const std::size_t count = 5000;
  std::vector<DeviceBuffer> buffers;
  std::vector<Ticket> tickets;
  for (int k = 0; k < 6; ++k) {
    buffers.push_back(buffer(count, core::DType::kFloat32));
    buffers.back().fill([&](std::size_t i) { return value_of(world().rank(), i + static_cast<std::size_t>(k)); });
  }
  for (DeviceBuffer& values : buffers) {
    tickets.push_back(collectives_->all_reduce(values.data(), count, core::DType::kFloat32, values.stream()));
  }
  for (std::size_t k = 0; k < buffers.size(); ++k) {
    tickets[k].wait(buffers[k].stream());
    const std::vector<float> got = buffers[k].read();
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_EQ(got[i], sum_of(world().size(), i + k));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, CollectivesTest,
                         testing::Values(BackendCase{"self", false}, BackendCase{"mpi", false},
                                         BackendCase{"mpi_staged", true}, BackendCase{"nccl", true}),
                         [](const auto& test) { return test.param.name; });

TEST(RankOrderSum, RoundsOnceToBFloat16) {
  // In bf16 arithmetic 256 + 1 + 1 stays 256; summed in fp32 and rounded once it is 258.
  auto collectives = make_mpi_host(world());
  std::vector<std::uint16_t> value{core::float_to_bf16(world().rank() == 0 ? 256.0F : 1.0F)};
  collectives->all_reduce(value.data(), 1, core::DType::kBFloat16, {}).wait({});
  const float exact = 256.0F + static_cast<float>(world().size() - 1);
  EXPECT_EQ(value[0], core::float_to_bf16(exact));
}

TEST(MakeCollectives, RefusesNcclWithoutAGpuForEveryRank) {
  const topology::Mesh mesh = topology::discover_mesh(world(), topology::DeviceRequest::kCpu);
  EXPECT_THROW(make_collectives(mesh, Backend::kNccl), core::UserError);
  EXPECT_EQ(make_collectives(mesh, Backend::kMpi)->name(), "mpi");
  EXPECT_EQ(make_collectives(mesh, Backend::kAuto)->name(), world().size() == 1 ? "none (one rank)" : "mpi");
}

}  // namespace
}  // namespace tessera::comm
