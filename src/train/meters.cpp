#include "train/meters.hpp"

#include "train/host_memory.hpp"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>

namespace tessera::train {
namespace {

// Dense bf16 matrix products by the vendor's data sheets, FLOP/s.
struct KnownGpu {
  const char* name;
  double bf16_flops;
};
constexpr std::array<KnownGpu, 5> kKnownGpus{
    {{"H200", 989.4e12}, {"H100 PCIe", 756e12}, {"H100", 989.4e12}, {"GH200", 989.4e12}, {"A100", 312e12}}};

double time_matrix_product(c10::Device device, at::ScalarType dtype, std::int64_t size) {
  const at::Tensor a = at::ones({size, size}, at::TensorOptions().dtype(dtype).device(device));
  at::Tensor c = at::empty_like(a);
  at::mm_out(c, a, a);
  c.select(0, 0).to(at::kFloat).sum().item<float>();  // waits
  const int repeats = device.is_cpu() ? 2 : 5;        // a core takes its time
  const Stopwatch watch;
  for (int i = 0; i < repeats; ++i) {
    at::mm_out(c, a, a);
  }
  c.select(0, 0).to(at::kFloat).sum().item<float>();
  return watch.seconds() / repeats;
}

}  // namespace

std::int64_t peak_memory_bytes(c10::Device device) {
  if (device.is_cpu()) {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
  }
  const auto stats = c10::getDeviceAllocator(device.type())->getDeviceStats(device.index());
  return stats.allocated_bytes[static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
}

std::int64_t usable_memory_bytes(c10::Device device, int num_sharing) {
  if (device.is_cpu()) {
    return least_host_limit(this_host(), num_sharing).free_bytes / num_sharing;
  }
  return static_cast<std::int64_t>(c10::getDeviceAllocator(device.type())->getMemoryInfo(device.index()).first) /
         num_sharing;
}

PeakRate peak_rate(c10::Device device, at::ScalarType dtype, const std::string& gpu_name) {
  for (const KnownGpu& known : kKnownGpus) {
    if (!device.is_cpu() && dtype == at::kBFloat16 && gpu_name.find(known.name) != std::string::npos) {
      return {known.bf16_flops, fmt::format("{}, dense bf16, by its data sheet", gpu_name)};
    }
  }
  const std::int64_t size = device.is_cpu() ? 1024 : 8192;
  const double operations = 2.0 * static_cast<double>(size * size * size);
  const double seconds = time_matrix_product(device, dtype, size);
  if (!device.is_cpu()) {
    c10::getDeviceAllocator(device.type())->emptyCache();
    c10::getDeviceAllocator(device.type())->resetPeakStats(device.index());
  }
  return {operations / seconds, fmt::format("measured, {} x {} matrix product", size, size)};
}

}  // namespace tessera::train
