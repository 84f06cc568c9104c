#pragma once

#include "tessera/report/records.hpp"
#include "tessera/topology/mesh.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace tessera::train {

/// The slowest ranks: the others wait for them, so that a step takes all of them the same time. What tells them apart
/// is the time of a step in which a rank does not wait: on a CPU the time less that of its waits for other ranks, on a
/// GPU that of its data, forward pass and loss.
class Stragglers {
 public:
  explicit Stragglers(const topology::Mesh& mesh);

  void begin_step();
  /// The step took this long, and its parts, report::kStepParts, so long on the device.
  void add(double seconds, const std::array<double, report::kStepParts.size()>& part_seconds);
  /// Of the steps since the last call: the median, and the three slowest ranks, for people. Empty where there is one
  /// rank, or no step. Collective over the run.
  std::string take();

 private:
  const topology::Mesh& mesh_;
  double waited_before_ = 0;
  double own_seconds_ = 0;
  std::int64_t num_steps_ = 0;
};

/// The same from every rank's mean seconds of a step.
std::string describe_slowest(const std::vector<double>& seconds, const std::vector<std::string>& hosts);

}  // namespace tessera::train
