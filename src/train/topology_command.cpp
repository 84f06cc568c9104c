#include "tessera/comm/make_collectives.hpp"
#include "tessera/train/commands.hpp"
#include "train/collective_timing.hpp"
#include "train/environment.hpp"
#include "train/platform.hpp"
#include "train/topology_report.hpp"

#include <ATen/Context.h>

#include <algorithm>
#include <cstdio>
#include <memory>

namespace tessera::train {
namespace {

// The rates that collectives are held against: those of the slowest link.
topology::LinkFigures slowest_of(const std::vector<topology::Link>& links) {
  topology::LinkFigures slowest = links.front().figures;
  for (const topology::Link& link : links) {
    slowest.rate = std::min(slowest.rate, link.figures.rate);
    slowest.latency = std::max(slowest.latency, link.figures.latency);
  }
  return slowest;
}

// NCCL between two ranks at a time, each pair with a communicator of its own.
std::vector<topology::Link> measure_nccl_links(const topology::Mesh& mesh, std::int64_t bytes, c10::Device device) {
  return topology::measure_links(mesh, [&](const topology::Group& pair) {
    topology::Mesh two = mesh;
    two.world = pair;
    const std::unique_ptr<comm::Collectives> collectives = comm::make_collectives(two, comm::Backend::kNccl);
    return time_broadcasts(*collectives, pair, bytes, device);
  });
}

void measure(const config::RuntimeConfig& config, const topology::Mesh& mesh, TopologyReport& report) {
  if (mesh.world.size() == 1) {
    return;
  }
  c10::Device device = c10::kCPU;
  if (mesh.device.on_gpu) {
    device = c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(mesh.device.gpu.index));
    at::globalContext().lazyInitDevice(c10::kCUDA);
  }
  const std::unique_ptr<comm::Collectives> collectives = find_collectives(config, mesh);
  const std::int64_t bytes = report.message_bytes;
  report.collectives_name = collectives->name();
  report.links.push_back({"MPI", topology::measure_links(mesh, [&](const topology::Group& pair) {
                            return topology::ping_pong(pair, static_cast<std::size_t>(bytes));
                          })});
  if (report.collectives_name == "nccl") {
    report.links.push_back({"NCCL", measure_nccl_links(mesh, bytes, device)});
  }
  const topology::LinkFigures slowest = slowest_of(report.links.back().links);
  const auto expected = report.collectives_name == "nccl" ? topology::one_call_ring_seconds : topology::ring_seconds;
  for (const auto kind : {topology::CollectiveKind::kReduceScatter, topology::CollectiveKind::kAllGather,
                          topology::CollectiveKind::kAllReduce}) {
    report.collectives.push_back({kind, time_collective(*collectives, mesh.world, kind, bytes, device),
                                  expected(kind, mesh.world.size(), static_cast<double>(bytes), slowest)});
  }
}

}  // namespace

void print_topology(const config::Command& command, const topology::Group& world) {
  require_sound_environment(world, command.run.runtime.device != config::DeviceChoice::kCpu);
  const topology::Mesh mesh = find_mesh(command.run.runtime, world);
  TopologyReport report;
  report.placement = mesh.placement;
  report.versions = versions_of(this_environment());
  report.message_bytes = command.topology.message_size->bytes;
  if (!command.topology.no_measure) {
    measure(command.run.runtime, mesh, report);
  }
  if (world.rank() == 0) {
    std::fputs((command.json ? to_json(report) + "\n" : to_text(report)).c_str(), stdout);
  }
}

}  // namespace tessera::train
