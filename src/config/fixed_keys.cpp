#include "config/fixed_keys.hpp"

namespace tessera::config {
namespace {

constexpr std::string_view kOff = R"(false|"auto")";
constexpr std::string_view kStage3 = "it belongs to stage 3, and this program has stages 0, 1 and 2; remove it";
constexpr std::string_view kBuckets = "parameters and gradients live in contiguous buckets, always";
constexpr std::string_view kSums = "gradients are summed first and divided afterwards, always; remove it";
constexpr std::string_view kMonitor =
    "TensorBoard events go to --log_dir, figures to log.txt and steps.jsonl; remove it";
constexpr std::string_view kNvme =
    "it belongs to offload to disks, and this program offloads to host memory; remove it";

}  // namespace

const std::vector<FixedKey>& fixed_keys() {
  static const std::vector<FixedKey> kKeys{
      {"zero_optimization.contiguous_gradients", "", "true", kBuckets},
      {"zero_optimization.reduce_scatter", "", "true",
       "gradients that are spread over the ranks are reduce-scattered, always"},
      {"zero_optimization.allgather_partitions", "", "true", "updated parameters are all-gathered, always"},
      {"zero_optimization.use_multi_rank_bucket_allreduce", "", "true", "a bucket is one collective, always"},
      {"zero_optimization.round_robin_gradients", "", "false",
       "every rank owns an equal slice of every bucket, which already spreads the work"},
      {"zero_optimization.load_from_fp32_weights", "", "true", "a resumed run takes its fp32 master weights, always"},
      {"zero_optimization.ignore_unused_parameters", "", "true", "parameters without use are not allocated at all"},
      {"zero_optimization.elastic_checkpoint", "", "false",
       "every checkpoint resumes at any number of ranks; remove it"},
      {"zero_optimization.legacy_stage1", "", "false", "there is one stage 1; remove it"},
      {"zero_optimization.cpu_offload", "", "false", R"(write "offload_optimizer": { "device": "cpu" } in its place)"},
      {"zero_optimization.offload_optimizer.pin_memory", "", "true", "host memory for offload is pinned, always"},
      {"zero_optimization.offload_optimizer.fast_init", "", "false", kNvme},
      {"zero_optimization.offload_optimizer.nvme_path", "", "", kNvme},
      {"zero_optimization.offload_optimizer.buffer_count", "", "", kNvme},
      {"zero_optimization.offload_optimizer.pipeline_*", "", "false", kNvme},
      {"zero_optimization.offload_param", "device", R"("none")", kStage3},
      {"zero_optimization.zenflow", "", "", "it changes what is computed; remove it"},
      {"zero_optimization.sub_group_size", "", "", kStage3},
      {"zero_optimization.stage3_*", "", "", kStage3},
      {"zero_optimization.zero_hpz_*", "", "", kStage3},
      {"zero_optimization.zero_quantized_*", "", "false", kStage3},
      {"zero_optimization.mics_*", "", "", kStage3},
      {"zero_allow_untested_optimizer", "", "*", ""},
      {"zero_force_ds_cpu_optimizer", "", "false", "there is no optimizer of DeepSpeed's here; remove it"},
      {"bf16.check_grad_overflow", "", "true", "a step whose gradients are not finite is skipped, always"},
      {"bf16.immediate_grad_update", "", "false", "gradients go into their buckets as the matrix products end"},
      {"bf16.bf16_master_weights_and_grads", "", "false", "master weights are fp32, always"},
      {"bf16.bf16_optimizer_states", "", "false", R"(write "optimizer": { "state_dtype": "bf16" } in its place)"},
      {"fp16", "enabled", kOff, R"(this program computes in bf16 or fp32, which need no loss scaling; use "bf16")"},
      {"amp", "enabled", kOff, R"(this program computes in bf16 or fp32; use "bf16")"},
      {"torch_autocast", "enabled", kOff, R"(this program computes in bf16 or fp32; use "bf16")"},
      {"optimizer.params.adam_w_mode", "", "true", "weight decay is decoupled, always: AdamW"},
      {"optimizer.params.torch_adam", "", "false|true", ""},
      {"optimizer.params.bias_correction", "", "true", "moments are corrected for their bias, always"},
      {"optimizer.params.amsgrad", "", "false", "AdamW without AMSGrad is what there is"},
      {"scheduler", "", "",
       "the schedule comes from the flags --warmup_epochs or --warmup_steps, --min_lr, --epochs and --blr or --lr; "
       "remove the section"},
      {"activation_checkpointing", "", "", "--gradient_checkpointing recomputes activations; remove the section"},
      {"prescale_gradients", "", "false", kSums},
      {"gradient_predivide_factor", "", "1|1.0", kSums},
      {"sparse_gradients", "", "false", "every gradient here is dense"},
      {"wall_clock_breakdown", "", "false", "steps.jsonl has the time of every step; remove it"},
      {"memory_breakdown", "", "false", "'tessera plan' has the memory by category; remove it"},
      {"dump_state", "", "false", "args.json has every setting; remove it"},
      {"flops_profiler", "enabled", "false", "'tessera plan' has the FLOPs, steps.jsonl the MFU; remove the section"},
      {"comms_logger", "enabled", "false", "this version does not log single collectives; remove the section"},
      {"tensorboard", "enabled", "false", kMonitor},
      {"wandb", "enabled", "false", kMonitor},
      {"csv_monitor", "enabled", "false", kMonitor},
      {"comet", "enabled", "false", kMonitor},
      {"aio", "", "", "nothing is offloaded to disks here; remove the section"},
      {"checkpoint", "", "", "checkpoints are parallel HDF5, always; remove the section"},
      {"data_types.grad_accum_dtype", "", R"("auto")",
       "micro-steps are summed in fp32 in each rank's shard, and with reduce_at_boundary in the gradients' own type; "
       "remove it"},
  };
  return kKeys;
}

}  // namespace tessera::config
