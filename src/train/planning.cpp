#include "train/planning.hpp"

#include "tessera/core/error.hpp"
#include "tessera/core/units.hpp"
#include "train/meters.hpp"

namespace tessera::train {

engine::PlannedRun planned_run(const config::RunConfig& config, std::int64_t num_classes, int world,
                               const engine::EngineOptions& options) {
  return {config.model.shape,
          {config.data.input_size, config.data.patch_size, num_classes},
          config.data.batch_size,
          config.model.gradient_checkpointing,
          world,
          options};
}

std::string to_table(const engine::MemoryPlan& plan) {
  std::string table;
  for (const engine::MemoryItem& item : plan.items) {
    table +=
        fmt::format("  {:<16}{:>12}  {}\n", item.name, core::format_bytes(static_cast<double>(item.bytes)), item.what);
  }
  table += fmt::format("  {:<16}{:>12}  per rank", "total", core::format_bytes(static_cast<double>(plan.total())));
  return table;
}

void require_memory(const engine::MemoryPlan& plan, const Platform& platform) {
  const std::int64_t usable = usable_memory_bytes(platform.device, platform.mesh.node.size());
  core::require<core::UserError>(
      plan.total() <= usable, "train",
      "the run needs {} on each rank by the plan, but {} {} free:\n{}\n  use more ranks with --zero_stage 2, "
      "--gradient_checkpointing, a smaller --batch_size (with --accum_iter), or a smaller model",
      core::format_bytes(static_cast<double>(plan.total())), core::format_bytes(static_cast<double>(usable)),
      platform.device.is_cpu() ? "of host memory is" : "of GPU memory is", to_table(plan));
}

}  // namespace tessera::train
