// What concerns `tessera plan` alone.
#include "config/problems.hpp"
#include "config/validation.hpp"

#include <string_view>

namespace tessera::config {

void check_plan(Checked checked) {
  const RunConfig& run = checked.command.run;
  if (checked.command.verb == Verb::kPlan && run.data.dataset == DatasetKind::kImageFolder &&
      run.data.nb_classes == 0) {
    checked.problems.add("a plan does not look into the image folders: give --nb_classes");
  }
  if (run.data.dataset == DatasetKind::kImageFolder && checked.given("tflops")) {
    checked.problems.add(
        "--tflops: a plan does not look into the image folders, and so cannot say how long an epoch is");
  }
  if (checked.command.verb == Verb::kPlan && run.zero.offload_optimizer == OffloadChoice::kCpu &&
      !run.zero.offload_ratio.share && !checked.given("gpu_memory")) {
    checked.problems.add("{} is auto, which takes what the GPU's memory demands: give --gpu_memory",
                         checked.called("offload_ratio"));
  }
  for (const std::string_view name : {"gpus_per_node", "gpu_link", "node_link"}) {
    if (checked.given(name) && (!checked.given("tflops") || checked.command.plan.linprobe)) {
      checked.problems.add("--{} has an effect only with --tflops, on the plan of a fine-tuning: leave it out", name);
    }
  }
}

}  // namespace tessera::config
