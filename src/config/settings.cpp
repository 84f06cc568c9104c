#include "config/settings.hpp"

#include <algorithm>

namespace tessera::config {
namespace {

using Settings = std::vector<Setting>;

void append(Settings& list, std::string_view group, Settings more) {
  for (Setting& setting : more) {
    setting.group = group;
    list.push_back(setting);
  }
}

/// `setting`, which `verbs` cannot do without.
Setting needed_for(unsigned verbs, Setting setting) {
  setting.required = verbs;
  return setting;
}

/// `setting`, which the flag alone gives this value.
Setting implied_by_name(std::string_view value, Setting setting) {
  setting.implied = value;
  return setting;
}

/// `setting`, which a checkpoint records.
Setting recorded(Setting setting) {
  setting.in_checkpoint = true;
  return setting;
}

Settings model_settings(ModelConfig& model) {
  return {
      {"pretrained_model_path", "DIR", kForAll, &model.pretrained_model_path,
       "Hugging Face directory: its config.json gives the model's shape, its weights are read with --load_pretrained"},
      {"model_config", "FILE|NAME", kForAll, &model.model_config,
       "the model's shape without weights: a config.json, or qwen3-0.6b, -1.7b, -4b, -8b, -14b, -32b or tiny"},
      {"load_pretrained", "", kForTraining, &model.load_pretrained,
       "start from the weights in --pretrained_model_path"},
      {"random_init", "", kForTraining, &model.random_init, "start from random weights (what happens without either)"},
      implied_by_name("block", {"gradient_checkpointing", "LEVEL", kForFinetuning, &model.gradient_checkpointing,
                                "activations that backward computes again instead of keeping them: none, feed_forward "
                                "(gate and up), block (all but each block's input; so the flag alone), or auto: of as "
                                "few blocks as the device's memory demands"}),
      {"global_pool", "", kForAll, &model.global_pool,
       "the head reads the mean of all tokens, normed after that, as MAE's; otherwise the last token, which under a "
       "causal mask alone has seen every patch"},
      {"cls_token", "", kForAll, &model.cls_token, "the head reads a learnt token that stands behind the patches"},
      {"drop_path", "RATE", kForFinetuning, &model.drop_path,
       "stochastic depth: each image goes without a branch of a block (attention or feed-forward) with a probability "
       "that rises from 0 in the first block to this in the last",
       Range::kBelowOne},
      {"freeze_blocks", "N", kForFinetuning, &model.freeze_blocks,
       "do not train the patch embedding and the first N blocks: no gradients, optimizer state and activations of them",
       Range::kNonNegative},
  };
}

Settings data_settings(DataConfig& data) {
  return {
      needed_for(kForFinetune, recorded({"dataset", "NAME", kForAll, &data.dataset,
                                         "cifar10, cifar100, fashion-mnist or imagefolder"})),
      needed_for(kForFinetune | kForLinprobe | kForEval,
                 {"data_path", "PATH", kForAll, &data.data_path,
                  "where the data set lies: its directory or archive; for imagefolder a directory with train/ and "
                  "val/"}),
      recorded({"input_size", "PIXELS", kForAll, &data.input_size, "side of the square that every image becomes",
                Range::kPositive}),
      recorded({"patch_size", "PIXELS", kForAll, &data.patch_size,
                "side of the square that becomes one token; divides --input_size", Range::kPositive}),
      {"batch_size", "N", kForAll, &data.batch_size, "images per rank and micro-step", Range::kPositive,
       "train_micro_batch_size_per_gpu"},
      {"accum_iter", "N", kForTraining, &data.accum_iter, "micro-steps per optimizer step", Range::kPositive,
       "gradient_accumulation_steps"},
      {"train_batch_size", "", kNoVerb, &data.train_batch_size,
       "images per optimizer step over all ranks: --batch_size x --accum_iter x ranks", Range::kPositive,
       "train_batch_size"},
      {"nb_classes", "N", kForAll, &data.nb_classes,
       "number of classes; 0 takes the data set's, any other number must be that", Range::kNonNegative},
      {"num_workers", "N", kForAll, &data.num_workers, "threads per rank that prepare images", Range::kPositive},
      {"no_augment", "", kForTraining, &data.no_augment,
       "prepare training images as for evaluation: no random crop, no flip"},
  };
}

Settings augment_settings(AugmentConfig& augment) {
  return {
      {"random_label_ratio", "P", kForTraining, &augment.random_label_ratio,
       "share of the training images that get a label drawn uniformly from all classes, the same in every epoch",
       Range::kShare},
      {"hflip", "P", kForTraining, &augment.hflip, "probability of mirroring an image left to right", Range::kShare},
      {"aa", "POLICY", kForTraining, &augment.aa,
       "AutoAugment or RandAugment in timm's terms: original, originalr, v0, v0r, 3a, or such as rand-m9-mstd0.5-inc1"},
      {"color_jitter", "F", kForTraining, &augment.color_jitter,
       "brightness, contrast and saturation, in random order, times a factor from 1 - F to 1 + F; not beside --aa "
       "except 3a",
       Range::kNonNegative},
      {"reprob", "P", kForTraining, &augment.reprob, "probability of erasing rectangles of an image", Range::kShare},
      {"remode", "const|rand|pixel", kForTraining, &augment.remode,
       "what erased rectangles become: the mean colour, a random one, or noise"},
      {"recount", "N", kForTraining, &augment.recount, "most rectangles that are erased in one image",
       Range::kPositive},
      {"mixup", "ALPHA", kForTraining, &augment.mixup,
       "mix each image with another of its micro-batch, and their labels: lambda is beta(ALPHA, ALPHA); 0: off",
       Range::kNonNegative},
      {"cutmix", "ALPHA", kForTraining, &augment.cutmix,
       "put a rectangle of another image of the micro-batch into each, of the share 1 - lambda; 0: off",
       Range::kNonNegative},
      {"cutmix_minmax", "MIN MAX", kForTraining, &augment.cutmix_minmax,
       "cutmix whose rectangle has sides uniform in these shares of the image's, in place of --cutmix"},
      {"mixup_prob", "P", kForTraining, &augment.mixup_prob, "probability of mixing at all", Range::kShare},
      {"mixup_switch_prob", "P", kForTraining, &augment.mixup_switch_prob,
       "probability of cutmix rather than mixup, where both are on", Range::kShare},
      {"mixup_mode", "batch|pair|elem", kForTraining, &augment.mixup_mode,
       "for what lambda is drawn: a micro-batch, a pair of images, or each image"},
  };
}

Settings optimizer_settings(OptimizerConfig& optimizer) {
  return {
      {"opt", "adamw|sgd|lars", kForTraining, &optimizer.opt,
       "AdamW; SGD with momentum; or LARS, which is SGD with a rate of its own for each matrix", Range::kAny,
       "optimizer.type"},
      {"epochs", "N", kForTraining, &optimizer.epochs, "passes over the training images", Range::kPositive},
      {"max_steps", "N", kForTraining, &optimizer.max_steps,
       "stop after this many optimizer steps; 0 goes on to the last epoch", Range::kNonNegative},
      {"blr", "RATE", kForTraining, &optimizer.blr,
       "base learning rate: the peak is blr x images per optimizer step / 256", Range::kPositive},
      {"lr", "RATE", kForTraining, &optimizer.lr, "peak learning rate itself, in place of --blr", Range::kPositive,
       "optimizer.params.lr"},
      {"min_lr", "RATE", kForTraining, &optimizer.min_lr, "learning rate at the end of the half-cosine",
       Range::kNonNegative},
      {"warmup_epochs", "N", kForTraining, &optimizer.warmup_epochs,
       "epochs of linear warm-up, fractions allowed; shorter than --epochs", Range::kNonNegative},
      {"warmup_steps", "N", kForTraining, &optimizer.warmup_steps,
       "optimizer steps of linear warm-up, in place of --warmup_epochs", Range::kNonNegative},
      {"weight_decay", "RATE", kForTraining, &optimizer.weight_decay,
       "decay of matrices (norms and biases do not decay): decoupled in AdamW, part of the gradient in SGD and LARS",
       Range::kNonNegative, "optimizer.params.weight_decay"},
      {"optimizer_state_dtype", "fp32|bf16|8bit", kForTraining, &optimizer.state_dtype,
       "how the optimizer's moments are kept: in fp32; in bf16, rounded stochastically, in half the memory; or in 8 "
       "bits, "
       "in blocks of 64 with a scale, in about a quarter",
       Range::kAny, "optimizer.state_dtype"},
      {"momentum", "FACTOR", kForTraining, &optimizer.momentum, "of SGD and LARS", Range::kBelowOne,
       "optimizer.params.momentum"},
      {"layer_decay", "FACTOR", kForFinetuning, &optimizer.layer_decay,
       "a layer's learning rate is the rate above it times this; 1 treats all alike", Range::kUpToOne},
      {"clip_grad", "NORM", kForTraining, &optimizer.clip_grad,
       "bound on the gradient's global L2 norm; 0 or not given: no clipping", Range::kNonNegative, "gradient_clipping"},
      {"ema_decay", "DECAY", kForFinetuning, &optimizer.ema_decay,
       "keep moving averages of the weights (average = DECAY x average + (1 - DECAY) x weight, every step), as timm's "
       "model_ema_decay; 0: none",
       Range::kBelowOne},
      {"eval_ema", "true|false", kForFinetuning, &optimizer.eval_ema,
       "evaluate the moving averages rather than the weights, where --ema_decay keeps them"},
      {"smoothing", "P", kForTraining, &optimizer.smoothing, "label smoothing", Range::kBelowOne},
      {"beta1", "", kNoVerb, &optimizer.beta1, "AdamW's decay of the first moment", Range::kBelowOne,
       "optimizer.params.betas.0"},
      {"beta2", "", kNoVerb, &optimizer.beta2, "AdamW's decay of the second moment", Range::kBelowOne,
       "optimizer.params.betas.1"},
      {"eps", "", kNoVerb, &optimizer.eps, "AdamW's epsilon", Range::kPositive, "optimizer.params.eps"},
      {"trust_coefficient", "", kNoVerb, &optimizer.trust_coefficient, "LARS's", Range::kPositive,
       "optimizer.params.trust_coefficient"},
  };
}

Settings probe_settings(ProbeConfig& probe) {
  return {
      {"finetune_checkpoint", "PATH", kForLinprobe, &probe.finetune_checkpoint,
       "whose features are probed: a checkpoint directory; a file of weights: .safetensors, .pth or .h5; or a "
       "directory "
       "with config.json and safetensors, ours or a language model's"},
      {"batch_norm", "true|false", kForLinprobe | kForPlan, &probe.batch_norm,
       "a BatchNorm without affine parameters between features and head, with statistics of all ranks"},
      {"ema", "", kForLinprobe | kForEval, &probe.ema,
       "take the checkpoint's moving averages (--ema_decay) in place of its weights"},
      {"cache_features", "", kForLinprobe | kForPlan, &probe.cache_features,
       "run the backbone once over every image, and train on what it gave; needs --no_augment"},
  };
}

Settings zero_settings(ZeroConfig& zero) {
  return {
      {"config", "FILE", kForTraining, &zero.config_file,
       "DeepSpeed-shaped JSON; a number in it and a flag that was given must agree", Range::kAny, "",
       "deepspeed_config"},
      {"deepspeed", "", kForTraining, &zero.deepspeed,
       "old name: without --config it means --zero_stage 2, with --config it adds nothing"},
      {"zero_stage", "0|1|2", kForTraining, &zero.stage,
       "what is spread over the ranks: 0 nothing (DDP), 1 optimizer state, 2 gradients as well", Range::kAny,
       "zero_optimization.stage"},
      {"overlap_comm", "", kNoVerb, &zero.overlap_comm, "communicate beside the backward and the next forward pass",
       Range::kAny, "zero_optimization.overlap_comm"},
      {"reduce_bucket_size", "", kNoVerb, &zero.reduce_bucket_size, "elements per bucket of gradients and parameters",
       Range::kPositive, "zero_optimization.reduce_bucket_size"},
      {"reduce_at_boundary", "", kNoVerb, &zero.reduce_at_boundary,
       "keep local gradients over the micro-steps and reduce once: more memory, less traffic", Range::kAny,
       "zero_optimization.reduce_at_boundary"},
      {"offload_optimizer", "none|cpu", kForTraining, &zero.offload_optimizer,
       "cpu: the optimizer's state lives in host memory, and the GPU updates it there; stages 1 and 2", Range::kAny,
       "zero_optimization.offload_optimizer.device"},
      {"offload_ratio", "SHARE|auto", kForTraining, &zero.offload_ratio,
       "how much of that goes to host memory, from 0 to 1, in whole buckets; the rest stays on the GPU; auto: as "
       "little "
       "as the GPU's memory demands",
       Range::kShare, "zero_optimization.offload_optimizer.ratio"},
      {"offload_gradients", "auto|none|cpu", kForTraining, &zero.offload_gradients,
       "cpu: the reduced gradients of what is offloaded live in host memory too, which is slower; auto: where the GPU "
       "has no room for them",
       Range::kAny, "zero_optimization.offload_optimizer.gradients"},
      {"communication_data_type", "", kNoVerb, &zero.communication_data_type,
       "gradients on the wire: fp32 or bf16; auto: as the parameters", Range::kAny, "communication_data_type"},
  };
}

Settings runtime_settings(RuntimeConfig& runtime) {
  return {
      {"dtype", "auto|bf16|fp32", kForAll, &runtime.dtype,
       "of parameters and activations; auto: bf16 on a GPU, fp32 on a CPU", Range::kAny, "bf16.enabled"},
      {"device", "auto|cuda|cpu", kForRanks, &runtime.device, "where to compute"},
      {"collectives", "auto|nccl|mpi", kForRanks, &runtime.collectives,
       "what carries gradients; auto: NCCL where every rank has a GPU of its own, else MPI"},
      {"seed", "N", kForTraining, &runtime.seed, "of initialisation, order and augmentation"},
      {"deterministic", "", kForAll, &runtime.deterministic,
       "the same command gives the same figures, bit for bit, by construction: no kernel is chosen by its measured "
       "time, "
       "and what has no fixed order of sums is an error"},
      {"steps_per_print", "N", kForTraining, &runtime.steps_per_print,
       "optimizer steps per line of progress; on a terminal the live line averages over as many", Range::kPositive,
       "steps_per_print"},
      {"heartbeat_timeout", "SECONDS", kForAll, &runtime.heartbeat_timeout,
       "a rank without a sign of life for so long is given up, and the run ends with status 1; before the first step, "
       "six times that",
       Range::kPositive},
      {"collective_timeout", "SECONDS", kForAll, &runtime.collective_timeout,
       "so does a run in which a rank waits for others for so long; before the first step, six times that",
       Range::kPositive},
      {"max_minutes", "N", kForTraining, &runtime.max_minutes,
       "save and stop, with exit status 75, before N minutes are over; 0: no limit but the Slurm job's own",
       Range::kNonNegative},
      {"quiet", "", kForAll, &runtime.quiet, "no progress on stderr, only warnings and errors"},
  };
}

Settings output_settings(RunConfig& config) {
  OutputConfig& output = config.output;
  return {
      {"output_dir", "DIR", kForTraining, &output.output_dir, "checkpoints and logs; without it nothing is written"},
      {"log_dir", "DIR", kForTraining, &output.log_dir, "TensorBoard events; without it they go to --output_dir"},
      {"save_every_epochs", "N", kForTraining, &output.save_every_epochs, "a checkpoint every N epochs; 0: off",
       Range::kNonNegative},
      {"save_every_steps", "N", kForTraining, &output.save_every_steps, "a checkpoint every N optimizer steps; 0: off",
       Range::kNonNegative},
      {"save_every_minutes", "N", kForTraining, &output.save_every_minutes, "a checkpoint every N minutes; 0: off",
       Range::kNonNegative},
      {"async_save", "true|false", kForTraining, &output.async_save,
       "write checkpoints beside the training, from a copy of each rank's part of the state in host memory; false: "
       "training waits for each, and no copy is made"},
      {"keep_last", "N", kForTraining, &output.keep_last, "keep only the N newest checkpoints; 0: all",
       Range::kNonNegative},
      {"keep_best", "", kForTraining, &output.keep_best,
       "save checkpoint-best whenever the test accuracy is the best so far; it is not counted by --keep_last"},
      {"resume", "auto|CKPT", kForTraining, &output.resume,
       "go on from a checkpoint: auto takes the newest whole one in --output_dir, if there is any"},
      {"eval", "", kForTraining, &config.eval_only, "evaluate the checkpoint of --resume, and train nothing"},
  };
}

}  // namespace

std::vector<Setting> describe(RunConfig& config) {
  Settings list;
  append(list, "Model", model_settings(config.model));
  append(list, "Data", data_settings(config.data));
  append(list, "Augmentation of training images", augment_settings(config.augment));
  append(list, "Optimizer and schedule", optimizer_settings(config.optimizer));
  append(list, "Linear probe", probe_settings(config.probe));
  append(list, "ZeRO", zero_settings(config.zero));
  append(list, "Device and run", runtime_settings(config.runtime));
  append(list, "Output", output_settings(config));
  return list;
}

std::vector<Setting> describe(Command& command) {
  Settings list;
  append(list, "Checkpoint",
         {needed_for(kForEval, {"checkpoint", "PATH", kForEval, &command.eval.checkpoint,
                                "a checkpoint directory; a file of weights: .safetensors, .pth or .h5; or a directory "
                                "with config.json and safetensors"}),
          {"backbone", "PATH", kForEval, &command.eval.backbone,
           "of a linear probe's checkpoint: where the weights are that were probed, if no longer where they were"}});
  append(list, "Results",
         {{"csv", "FILE", kForEval, &command.eval.csv,
           "all figures as a table, one a line: metric,class,prediction,bin,value"},
          {"predictions", "FILE", kForEval, &command.eval.predictions,
           "index, label, prediction and confidence of every image: as CSV where the name ends in .csv, as JSON lines "
           "where it ends in .jsonl"}});
  append(
      list, "Plan",
      {{"world_size", "N", kForPlan | kForConfig, &command.plan.world_size, "number of ranks", Range::kPositive},
       {"gpu_memory", "BYTES", kForPlan, &command.plan.gpu_memory,
        "memory of one GPU, such as 80GiB: the plan says whether the run fits, and what else would"},
       {"tflops", "N", kForPlan, &command.plan.tflops,
        "TFLOP/s that a rank reaches, as measured (a run's MFU x the peak): the plan says how long an epoch takes",
        Range::kPositive},
       {"gpus_per_node", "N", kForPlan, &command.plan.gpus_per_node,
        "with --tflops, which also predicts steps at 8 to 1,024 GPUs: GPUs of a node", Range::kPositive},
       {"gpu_link", "BYTES", kForPlan, &command.plan.gpu_link,
        "with --tflops: what a GPU sends a second to others of its node, such as 450GB (NVLink 4)", Range::kPositive},
       {"node_link", "BYTES", kForPlan, &command.plan.node_link,
        "with --tflops: what the network takes a second from each GPU, such as 50GB (a 400 Gb/s port each)",
        Range::kPositive},
       {"linprobe", "", kForPlan, &command.plan.linprobe, "plan a linear probe, with the defaults of that"}});
  append(list, "Runs",
         {{"tolerance", "SHARE", kForCompare, &command.runs.tolerance,
           "curves part where they first differ by more than this share of the greater value", Range::kNonNegative},
          {"output", "FILE", kForCompare | kForReport, &command.runs.output,
           "compare: draw the curves of both runs into this .svg file; report: write the page into this .html file, "
           "and not into report.html in the first RUN_DIR"}});
  append(list, "Measuring",
         {{"no_measure", "", kForTopology, &command.topology.no_measure, "print who runs where, and measure nothing"},
          {"message_size", "BYTES", kForTopology, &command.topology.message_size,
           "of the messages between pairs and of the buffers that the collectives reduce and gather, such as 64MiB; a "
           "run's buckets are about a block of the model each (its parameters x 2 bytes in bf16)",
           Range::kPositive}});
  append(list, "Form",
         {{"json", "", kForPlan | kForCompare | kForTopology, &command.json, "print JSON instead of a table"}});
  for (const Setting& setting : describe(command.run)) {
    list.push_back(setting);
  }
  return list;
}

bool is_of_optimizer(std::string_view setting, OptimizerKind kind) {
  const bool is_adamw = kind == OptimizerKind::kAdamW;
  if (setting == "momentum") {
    return !is_adamw;
  }
  if (setting == "trust_coefficient") {
    return kind == OptimizerKind::kLars;
  }
  return is_adamw || (setting != "beta1" && setting != "beta2" && setting != "eps");
}

std::string shown_key(std::string_view json_path) {
  std::string text(json_path);
  if (!text.empty() && text.back() >= '0' && text.back() <= '9' && text[text.size() - 2] == '.') {
    text[text.size() - 2] = '[';
    text += ']';
  }
  return text;
}

const std::vector<VerbInfo>& verbs() {
  static const std::vector<VerbInfo> kVerbs{
      {Verb::kFinetune, kForFinetune, "finetune", "train Qwen3 as an image classifier"},
      {Verb::kLinprobe, kForLinprobe, "linprobe", "train a linear head on the frozen features of a checkpoint"},
      {Verb::kEval, kForEval, "eval", "accuracy of a checkpoint or of a consolidated file"},
      {Verb::kPlan, kForPlan, "plan", "bytes and FLOPs per rank of a run, from its flags: no GPU, no MPI"},
      {Verb::kConfig, kForConfig, "config", "print the effective DeepSpeed-shaped JSON of a finetune run"},
      {Verb::kCompare, kForCompare, "compare", "two runs side by side: settings, curves, speed, memory", "RUN RUN", 2,
       2},
      {Verb::kReport, kForReport, "report", "one or more runs as an HTML file: curves, mistakes, memory, checkpoints",
       "RUN_DIR [RUN_DIR...]", 1, kMostReportedRuns},
      {Verb::kTopology, kForTopology, "topology",
       "who runs where (nodes, cores, GPUs, network), what is wrong with it, and how fast the links are"}};
  return kVerbs;
}

const VerbInfo& info_of(Verb verb) {
  return *std::find_if(verbs().begin(), verbs().end(), [&](const VerbInfo& info) { return info.verb == verb; });
}

}  // namespace tessera::config
