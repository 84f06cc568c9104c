#include "config/refused_flags.hpp"

#include "tessera/core/parse_number.hpp"

namespace tessera::config {
namespace {

constexpr std::string_view kLauncher = "mpirun -np N or srun --mpi=pmix says how many ranks there are and where";

}  // namespace

const std::vector<RefusedFlag>& refused_flags() {
  static const std::vector<RefusedFlag> kFlags{
      {"resplit", false, "",
       "it spares the first split of a batch, and this program does not split batches (timm's aug_splits)"},
      {"linear_probe", false, "on", "that is what it does", kForLinprobe},
      {"linear_probe", false, "", "'tessera linprobe' trains a head on frozen features", kForAll & ~kForLinprobe},
      {"deepspeed_checkpoint", false, "on", "what kind of checkpoint it is shows when it is opened", kForLinprobe},
      {"qwen_checkpoint", true, "",
       "start from a Hugging Face directory (--pretrained_model_path with --load_pretrained) or go on from a "
       "checkpoint "
       "(--resume); 'tessera linprobe --finetune_checkpoint' probes one"},
      {"finetune", true, "",
       "start from a Hugging Face directory (--pretrained_model_path with --load_pretrained) or go "
       "on from a checkpoint (--resume)"},
      {"model", true, "", "--model_config NAME or --pretrained_model_path DIR says which model"},
      {"start_epoch", true, "0", "--resume takes the epoch from the checkpoint"},
      {"dist_eval", false, "on", "evaluation is always spread over the ranks, and counts every image once"},
      {"pin_mem", false, "on", "host buffers for the GPU are always pinned"},
      {"no_pin_mem", false, "", "host buffers for the GPU are always pinned"},
      {"local_rank", true, "-1", kLauncher},
      {"dist_on_itp", false, "", kLauncher},
      {"dist_url", true, "env://", kLauncher},
      {"master_port", true, "", kLauncher},
      {"num_gpus", true, "", kLauncher},
  };
  return kFlags;
}

bool is_neutral(const RefusedFlag& flag, std::string_view value) {
  if (!flag.takes_value) {
    return flag.neutral == "on";
  }
  std::string_view rest = flag.neutral;
  while (true) {
    const std::size_t bar = rest.find('|');
    const std::string_view neutral = rest.substr(0, bar);
    const auto a = core::parse_number<double>(neutral);
    if (neutral == value || (a && a == core::parse_number<double>(value))) {
      return true;
    }
    if (bar == std::string_view::npos) {
      return false;
    }
    rest.remove_prefix(bar + 1);
  }
}

}  // namespace tessera::config
