#include "train/collective_timing.hpp"

#include <ATen/ops/zeros.h>
#include <c10/core/ScalarType.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>

namespace tessera::train {
namespace {

using Issue = std::function<comm::Ticket(core::Stream)>;

// The device's current stream, as collectives know it, and waiting for it.
class Timeline {
 public:
  explicit Timeline(c10::Device device) : device_(device) {}

  [[nodiscard]] core::Stream stream() const {
    return device_.is_cpu() ? core::Stream{} : core::Stream{current().native_handle()};
  }
  void wait() const {
    if (!device_.is_cpu()) {
      current().synchronize();
    }
  }

 private:
  [[nodiscard]] c10::Stream current() const { return c10::impl::VirtualGuardImpl(device_.type()).getStream(device_); }
  c10::Device device_;
};

// From a common start to the last rank's end; the median of several, after one that warms up.
double median_seconds(const topology::Group& group, const Timeline& timeline, const Issue& issue) {
  using Clock = std::chrono::steady_clock;
  std::array<double, 5> seconds{};
  issue(timeline.stream()).wait(timeline.stream());
  for (double& each : seconds) {
    timeline.wait();
    group.barrier();
    const auto start = Clock::now();
    issue(timeline.stream()).wait(timeline.stream());
    timeline.wait();
    each = std::chrono::duration<double>(Clock::now() - start).count();
  }
  group.max(seconds);
  std::ranges::sort(seconds);
  return seconds[seconds.size() / 2];
}

at::Tensor buffer_of(std::int64_t num_elements, c10::Device device) {
  return at::zeros({num_elements}, at::TensorOptions(device).dtype(device.is_cpu() ? at::kFloat : at::kBFloat16));
}

core::DType dtype_on(c10::Device device) { return device.is_cpu() ? core::DType::kFloat32 : core::DType::kBFloat16; }

}  // namespace

double time_collective(comm::Collectives& collectives, const topology::Group& group, topology::CollectiveKind kind,
                       std::int64_t bytes, c10::Device device) {
  const std::int64_t element = device.is_cpu() ? 4 : 2;
  const std::int64_t share = std::max<std::int64_t>(1, bytes / element / group.size());
  at::Tensor whole = buffer_of(share * group.size(), device);
  at::Tensor own = whole.narrow(0, share * group.rank(), share);
  const auto count = static_cast<std::size_t>(share);
  const core::DType dtype = dtype_on(device);
  void* const data = whole.mutable_data_ptr();
  void* const mine = own.mutable_data_ptr();
  return median_seconds(group, Timeline(device), [&](core::Stream stream) {
    switch (kind) {
      case topology::CollectiveKind::kReduceScatter:
        return collectives.reduce_scatter(data, mine, count, dtype, stream);
      case topology::CollectiveKind::kAllGather:
        return collectives.all_gather(mine, data, count, dtype, stream);
      case topology::CollectiveKind::kAllReduce:
        break;
    }
    return collectives.all_reduce(data, count * static_cast<std::size_t>(group.size()), dtype, stream);
  });
}

topology::LinkFigures time_broadcasts(comm::Collectives& collectives, const topology::Group& pair, std::int64_t bytes,
                                      c10::Device device) {
  constexpr int kRoot = 0;
  const std::int64_t element = device.is_cpu() ? 4 : 2;
  const std::int64_t length = std::max<std::int64_t>(4, bytes / element);
  at::Tensor buffer = buffer_of(length, device);
  const auto seconds_of = [&](std::int64_t num_elements) {
    return median_seconds(pair, Timeline(device), [&](core::Stream stream) {
      return collectives.broadcast(buffer.mutable_data_ptr(), static_cast<std::size_t>(num_elements), dtype_on(device),
                                   kRoot, stream);
    });
  };
  const double latency = seconds_of(4);
  return {latency, static_cast<double>(length * element) / seconds_of(length)};
}

}  // namespace tessera::train
