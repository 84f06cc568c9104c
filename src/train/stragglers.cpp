#include "train/stragglers.hpp"

#include "tessera/core/error.hpp"
#include "tessera/core/progress_board.hpp"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

namespace tessera::train {
namespace {

constexpr std::size_t kShown = 3;
constexpr std::size_t kPartsWithoutWaits = 3;  // data, forward, loss

double waited_seconds(const topology::Mesh& mesh) {
  const core::ProgressBoard* const board = mesh.world.board();
  return board != nullptr ? board->waited_seconds() : 0;
}

}  // namespace

std::string describe_slowest(const std::vector<double>& seconds, const std::vector<std::string>& hosts) {
  std::vector<std::size_t> ranks(seconds.size());
  std::iota(ranks.begin(), ranks.end(), std::size_t{0});
  std::ranges::sort(ranks, std::greater<>(), [&seconds](std::size_t rank) {
    return std::pair(seconds[rank], seconds.size() - rank);  // of equals the first rank first
  });
  const double median = seconds[ranks[ranks.size() / 2]];
  std::string text =
      fmt::format("a step without waiting for other ranks takes {:.4f} s in the median; slowest", median);
  for (std::size_t i = 0; i < std::min(kShown, ranks.size()); ++i) {
    const std::size_t rank = ranks[i];
    text += fmt::format("{} rank {} on {} {:.4f} s ({:.2f} x)", i == 0 ? "" : ",", rank, hosts[rank], seconds[rank],
                        median > 0 ? seconds[rank] / median : 1.0);
  }
  return text;
}

Stragglers::Stragglers(const topology::Mesh& mesh) : mesh_(mesh) {}

void Stragglers::begin_step() { waited_before_ = waited_seconds(mesh_); }

void Stragglers::add(double seconds, const std::array<double, report::kStepParts.size()>& part_seconds) {
  own_seconds_ += mesh_.device.on_gpu
                      ? std::accumulate(part_seconds.begin(), part_seconds.begin() + kPartsWithoutWaits, 0.0)
                      : std::max(0.0, seconds - (waited_seconds(mesh_) - waited_before_));
  ++num_steps_;
}

std::string Stragglers::take() {
  if (mesh_.world.size() == 1 || num_steps_ == 0) {
    return {};
  }
  std::vector<double> means(static_cast<std::size_t>(mesh_.world.size()), 0.0);
  means[static_cast<std::size_t>(mesh_.world.rank())] = own_seconds_ / static_cast<double>(num_steps_);
  mesh_.world.sum(means);
  own_seconds_ = 0;
  num_steps_ = 0;
  return describe_slowest(means, mesh_.hosts);
}

}  // namespace tessera::train
