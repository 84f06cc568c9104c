#include "config/help.hpp"

#include "config/flags.hpp"

namespace tessera::config {
namespace {

constexpr std::string_view kFinetuneUsage =
    R"(usage: mpirun -np N tessera finetune --dataset NAME --data_path PATH --model_config NAME [flags]
       srun --mpi=pmix tessera finetune ...      on a Slurm cluster
       tessera finetune ...                      one rank

Examples:
  A tiny Qwen3 from scratch on two CPU ranks, with gradients and optimizer state spread over them:
    mpirun -np 2 tessera finetune --model_config tiny --dataset fashion-mnist \
      --data_path /usr/share/datasets/fashion-mnist --input_size 32 --patch_size 4 --epochs 3 --warmup_epochs 0.5 \
      --zero_stage 2 --output_dir results/tiny
  Pretrained Qwen3-8B on the GPUs of a node, from a DeepSpeed-shaped JSON:
    mpirun -np 4 tessera finetune --pretrained_model_path Qwen3-8B --load_pretrained --gradient_checkpointing \
      --dataset cifar100 --data_path data --config configs/zero2.json --clip_grad 1.0 --output_dir results/qwen3-8b
  The same run again after an interruption, on another number of ranks:
    mpirun -np 8 tessera finetune ... --output_dir results/qwen3-8b --resume auto
)";

constexpr std::string_view kLinprobeUsage =
    R"(usage: mpirun -np N tessera linprobe --finetune_checkpoint PATH --data_path PATH [flags]

Trains a linear head on what a frozen backbone makes of the images, by MAE's recipe: LARS, and a BatchNorm before the head.
What is not given (model, data set, image and patch size) is taken from the checkpoint; the classes may be others than its.
final_results.json has the best and the last accuracy.

Examples:
  A fine-tuned run, and the language model that it began with:
    mpirun -np 2 tessera linprobe --finetune_checkpoint results/tiny/checkpoint-final \
      --data_path /usr/share/datasets/fashion-mnist --output_dir results/tiny-probe
    mpirun -np 4 tessera linprobe --pretrained_model_path Qwen3-8B --load_pretrained --dataset cifar100 --data_path data \
      --input_size 224 --output_dir results/qwen3-8b-probe
  Without augmentation the backbone is run once over every image:
    tessera linprobe --finetune_checkpoint model.safetensors --data_path data --no_augment --cache_features
)";

constexpr std::string_view kEvalUsage =
    R"(usage: mpirun -np N tessera eval --checkpoint PATH --data_path PATH [flags]

What is not given (model, data set, image and patch size) is taken from the checkpoint. A table for people goes to
stderr, one JSON object to stdout.

Examples:
    tessera eval --checkpoint results/tiny/checkpoint-final --data_path /usr/share/datasets/fashion-mnist
    tessera eval --checkpoint results/tiny/checkpoint-final --data_path /usr/share/datasets/fashion-mnist \
      --csv figures.csv --predictions predictions.jsonl > figures.json
    mpirun -np 2 tessera eval --checkpoint model.safetensors --model_config tiny --dataset fashion-mnist \
      --data_path /usr/share/datasets/fashion-mnist --input_size 32 --patch_size 4
)";

constexpr std::string_view kPlanUsage =
    R"(usage: tessera plan --model_config NAME --world_size N [--gpu_memory 80GiB] [flags of finetune]

Takes the flags of finetune, and needs no GPU, no data and no MPI launcher.

Examples:
    tessera plan --model_config qwen3-8b --world_size 4 --zero_stage 2 --batch_size 8 --gpu_memory 80GiB
    tessera plan --model_config qwen3-8b --world_size 8 --config configs/zero2.json --gpu_memory 80GiB --tflops 400
    tessera plan --model_config qwen3-32b --world_size 64 --config configs/zero2.json --gradient_checkpointing --json
)";

constexpr std::string_view kConfigUsage =
    R"(usage: tessera config [--world_size N] [flags of finetune]

Prints on stdout a file for --config that says what these flags say.

Examples:
    tessera config --zero_stage 2 --batch_size 16 --accum_iter 4 --clip_grad 1.0 --world_size 8
    tessera config --config configs/zero2.json --lr 1e-4 > my.json
)";

constexpr std::string_view kCompareUsage =
    R"(usage: tessera compare RUN RUN [--output FILE.svg] [flags]

Each RUN is the --output_dir of a run. Tells the settings in which they differ, how far their curves are apart and from where,
their speed and their memory.

Examples:
    tessera compare results/ddp results/zero2
    tessera compare results/ddp results/zero2 --tolerance 1e-3 --output curves.svg --json > difference.json
)";

constexpr std::string_view kReportUsage =
    R"(usage: tessera report RUN_DIR [RUN_DIR...] [--output FILE.html]

Each RUN_DIR is the --output_dir of a run. One HTML file that needs nothing else, not even a network: the curves of the runs
over each other, their settings where they differ, speed, memory against the plan, time of each part of a step, checkpoints,
and of the newest evaluation (evaluation.json and predictions.jsonl in RUN_DIR, which a run writes after every epoch) the
confusion matrix and the worst classes with images that were mistaken. The path of the file is printed on stdout.

Examples:
    tessera report results/tiny
    tessera report results/ddp results/zero2 --output ddp-and-zero2.html
  With the evaluation of another checkpoint than the last:
    tessera eval --checkpoint results/tiny/checkpoint-best --data_path /usr/share/datasets/fashion-mnist \
      --predictions results/tiny/predictions.jsonl > results/tiny/evaluation.json
)";

constexpr std::string_view kTopologyUsage =
    R"(usage: mpirun -np N tessera topology [--no_measure] [--json]
       srun --mpi=pmix tessera topology          on a Slurm cluster: with the same options as the run that it is for

Prints on stdout where each rank runs and what it runs with, and measures: latency and rate of MPI (and NCCL) between each
rank and the next and between nodes that are half the cluster apart, and the collectives of a training step against what
the slowest of these links would give a ring. Links slower than half of the median of their kind are named. Takes seconds,
however many ranks there are.

Examples:
    mpirun -np 4 tessera topology
    srun --mpi=pmix --nodes 2 --ntasks-per-node 4 --gpus-per-node 4 tessera topology --json > topology.json
    mpirun -np 4 --bind-to numa tessera topology --no_measure
    srun --mpi=pmix tessera topology --message_size 256MiB
)";

std::string_view usage_of(Verb verb) {
  switch (verb) {
    case Verb::kFinetune:
      return kFinetuneUsage;
    case Verb::kLinprobe:
      return kLinprobeUsage;
    case Verb::kEval:
      return kEvalUsage;
    case Verb::kPlan:
      return kPlanUsage;
    case Verb::kConfig:
      return kConfigUsage;
    case Verb::kCompare:
      return kCompareUsage;
    case Verb::kReport:
      return kReportUsage;
    case Verb::kTopology:
      return kTopologyUsage;
  }
  return {};
}

std::string default_of(const Setting& setting) {
  const Scalar value = value_of(setting.field);
  return std::holds_alternative<std::monostate>(value) ? "auto" : show(value);
}

std::string json_keys_help() {
  std::string text = R"(
Keys of the JSON that --config names ("auto" takes what the flags say; // comments are allowed; a key that this
program does not honour is refused with the reason):
)";
  Command defaults;
  for (const Setting& setting : describe(defaults)) {
    if (!setting.json.empty()) {
      const std::string source = setting.verbs == kNoVerb
                                     ? fmt::format("{} [default {}]", setting.doc, default_of(setting))
                                     : fmt::format("--{}", setting.name);
      text += fmt::format("  {:<44} {}\n", shown_key(setting.json), source);
    }
  }
  return text;
}

}  // namespace

std::string program_help() {
  std::string text = R"(tessera: fine-tunes Qwen3 as an image classifier on MPI ranks, with ZeRO stages 0, 1 and 2

usage: tessera VERB [flags]
       mpirun -np N tessera VERB [flags]

Verbs:
)";
  for (const VerbInfo& verb : verbs()) {
    text += fmt::format("  {:<10} {}\n", verb.name, verb.summary);
  }
  text += R"(
  tessera VERB --help     flags and examples of a verb
  tessera --version       the version

Exit status: 0 done; 2 bad flags, configuration, data or checkpoint, found before training; 75 stopped early on request
(a signal, the end of its time) with a checkpoint saved: run again with --resume auto to go on; 1 anything else.

Example:
  mpirun -np 2 tessera finetune --model_config tiny --dataset fashion-mnist \
    --data_path /usr/share/datasets/fashion-mnist --input_size 32 --patch_size 4 --epochs 3 --warmup_epochs 0.5 \
    --zero_stage 2 --output_dir results/tiny
)";
  return text;
}

std::string verb_help(const VerbInfo& verb) {
  Command defaults = defaults_of(verb.verb);
  std::string text = fmt::format("tessera {}: {}\n\n{}", verb.name, verb.summary, usage_of(verb.verb));
  text += flags_help(verb, describe(defaults));
  text += "\n  --help                          this text\n  --version                       the version\n";
  if ((verb.bit & kForTraining) != 0) {
    text += json_keys_help();
  }
  return text;
}

}  // namespace tessera::config
