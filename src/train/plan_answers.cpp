#include "train/plan_answers.hpp"

#include "tessera/core/units.hpp"
#include "train/planning.hpp"

#include <fmt/core.h>

namespace tessera::train {
namespace {

using config::GradientCheckpointing;

constexpr std::int64_t kMostImages = 1 << 20;
constexpr int kMostRanks = 1 << 14;

engine::MemoryPlan plan_of(const PlanQuestion& question, const config::RunConfig& config, int world) {
  engine::PlannedRun run =
      planned_run(config, question.num_classes, world, engine_options(config, question.device, question.compute));
  run.snapshots = config.output.async_save;
  settle_by_memory(run, config, question.gpu_bytes);
  return engine::plan_memory(run);
}

std::int64_t planned_bytes(const PlanQuestion& question, const config::RunConfig& config, int world) {
  return plan_of(question, config, world).total();
}

// The greatest number of [0, most] that `fits`, where everything below one that fits does.
template <class Fits>
std::int64_t greatest(std::int64_t most, Fits fits) {
  std::int64_t low = 0;
  std::int64_t high = 1;
  while (high <= most && fits(high)) {
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

}  // namespace

PlanAnswers answers_to(const PlanQuestion& question) {
  PlanAnswers answers;
  answers.largest_batch = greatest(kMostImages, [&question](std::int64_t images) {
    config::RunConfig config = question.config;
    config.data.batch_size = images;
    return planned_bytes(question, config, question.world) <= question.gpu_bytes;
  });
  const std::int64_t too_few = greatest(kMostRanks, [&question](std::int64_t ranks) {
    return planned_bytes(question, question.config, static_cast<int>(ranks)) > question.gpu_bytes;
  });
  answers.least_ranks = too_few < kMostRanks ? static_cast<int>(too_few) + 1 : 0;
  std::size_t i = 0;
  for (const auto level :
       {GradientCheckpointing::kNone, GradientCheckpointing::kFeedForward, GradientCheckpointing::kBlock}) {
    config::RunConfig config = question.config;
    config.model.gradient_checkpointing = level;
    answers.bytes_by_checkpointing[i++] = planned_bytes(question, config, question.world);
  }
  config::RunConfig offloaded = question.config;
  offloaded.zero.stage = offloaded.zero.stage == 0 ? 2 : offloaded.zero.stage;
  offloaded.zero.reduce_at_boundary = false;
  offloaded.zero.offload_optimizer = config::OffloadChoice::kCpu;
  offloaded.zero.offload_ratio.share = 1;
  const engine::MemoryPlan plan = plan_of(question, offloaded, question.world);
  answers.offloaded_bytes = plan.total();
  answers.offloaded_host_bytes = plan.host_total();
  return answers;
}

std::string to_text(const PlanAnswers& answers, std::int64_t gpu_bytes) {
  const auto bytes = [](std::int64_t count) { return core::format_bytes(static_cast<double>(count)); };
  const std::string ranks = answers.least_ranks > 0 ? core::format_count(answers.least_ranks) : "none";
  std::string text = fmt::format("  {:<16}{:>12}  images a rank and micro-step that fit {}\n", "largest batch",
                                 core::format_count(answers.largest_batch), bytes(gpu_bytes));
  text += fmt::format("  {:<16}{:>12}  of {} that hold this batch\n", "least ranks", ranks, bytes(gpu_bytes));
  text += fmt::format("  a rank by --gradient_checkpointing: none {}, feed_forward {}, block {}\n",
                      bytes(answers.bytes_by_checkpointing[0]), bytes(answers.bytes_by_checkpointing[1]),
                      bytes(answers.bytes_by_checkpointing[2]));
  return text + fmt::format("  a rank with --offload_optimizer cpu: {}, and {} of host memory",
                            bytes(answers.offloaded_bytes), bytes(answers.offloaded_host_bytes));
}

}  // namespace tessera::train
