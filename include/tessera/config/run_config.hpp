#pragma once

#include "tessera/config/augment_config.hpp"
#include "tessera/config/model_shape.hpp"
#include "tessera/config/pooling.hpp"
#include "tessera/core/dtype.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tessera::config {

enum class DatasetKind { kCifar10, kCifar100, kFashionMnist, kImageFolder };
enum class DeviceChoice { kAuto, kCuda, kCpu };
enum class CollectivesChoice { kAuto, kNccl, kMpi };
enum class OptimizerKind { kAdamW, kSgd, kLars };
/// Of which activations backward computes again; auto: of as few blocks as the device's memory demands.
enum class GradientCheckpointing { kNone, kFeedForward, kBlock, kAuto };
enum class OffloadChoice { kNone, kCpu };  ///< where the optimizer's state lives: on the device, or in host memory
/// The same of the reduced gradients of what is offloaded; auto: on the device where that has room for them.
enum class GradientOffload { kAuto, kNone, kCpu };
/// The share of the optimizer's state that lives in host memory.
struct OffloadRatio {
  std::optional<double> share = 1;  ///< none: auto, as little as the device's memory demands
};
/// Of the optimizer's moments; bf16 is rounded stochastically, and 8 bits come in blocks with a scale.
enum class StateDType { kFloat32, kBFloat16, k8Bit };
enum class DTypeChoice { kAuto, kBFloat16, kFloat32 };  ///< auto: bf16 on a GPU, fp32 on a CPU

/// As on the command line: "cifar10", "fashion-mnist", "auto", "bf16" and so on.
std::string_view name_of(DatasetKind kind);
std::string_view name_of(DeviceChoice choice);
std::string_view name_of(CollectivesChoice choice);
std::string_view name_of(DTypeChoice choice);
std::string_view name_of(OptimizerKind kind);
std::string_view name_of(StateDType dtype);

/// The reverse, for names that files hold. Throws UserError that lists the names.
DatasetKind dataset_from_name(std::string_view name);

struct ModelConfig {
  std::string pretrained_model_path;  ///< Hugging Face directory; empty: model_config says the shape
  std::string model_config;           ///< a config.json or a preset's name
  bool load_pretrained = false;
  bool random_init = false;
  GradientCheckpointing gradient_checkpointing = GradientCheckpointing::kNone;
  bool global_pool = false;        ///< the head reads the mean of all tokens
  bool cls_token = false;          ///< the head reads a learnt token behind the patches; neither: the last patch's
  double drop_path = 0;            ///< stochastic depth: probability of the last block's branches to be left out
  std::int64_t freeze_blocks = 0;  ///< above 0: the patch embedding and these first blocks are not trained
  ModelShape shape;                ///< resolved from the above

  [[nodiscard]] Pooling pooling() const {
    return cls_token ? Pooling::kClassToken : global_pool ? Pooling::kMean : Pooling::kLastToken;
  }
  void set_pooling(Pooling pooling) {
    global_pool = pooling == Pooling::kMean;
    cls_token = pooling == Pooling::kClassToken;
  }
};

struct DataConfig {
  DatasetKind dataset = DatasetKind::kCifar10;
  std::string data_path;
  std::int64_t input_size = 224;  ///< pixels, square
  std::int64_t patch_size = 16;   ///< pixels, square; divides input_size
  std::int64_t batch_size = 32;   ///< images per rank and micro-step
  std::int64_t accum_iter = 1;    ///< micro-steps per optimizer step
  std::int64_t nb_classes = 0;    ///< 0: what the data set has; any other number must be that
  std::int64_t num_workers = 4;   ///< loader threads per rank
  bool no_augment = false;        ///< training images are prepared as for evaluation

  /// Images per optimizer step over all ranks, where the JSON demands a number. validate_world() holds it against the
  /// number of ranks and works out what was left to be worked out.
  std::optional<std::int64_t> train_batch_size;
  bool derive_batch_size = false;  ///< batch_size = train_batch_size / (accum_iter x ranks)
  bool derive_accum_iter = false;  ///< accum_iter = train_batch_size / (batch_size x ranks)

  [[nodiscard]] std::int64_t num_tokens() const { return (input_size / patch_size) * (input_size / patch_size); }
};

struct OptimizerConfig {
  OptimizerKind opt = OptimizerKind::kAdamW;
  std::int64_t epochs = 100;
  std::int64_t max_steps = 0;  ///< optimizer steps after which to stop; 0: no such limit
  double blr = 1e-3;           ///< lr = blr x effective batch / 256
  std::optional<double> lr;    ///< overrides blr
  double min_lr = 1e-6;
  double warmup_epochs = 10;
  std::optional<std::int64_t> warmup_steps;  ///< overrides warmup_epochs
  double weight_decay = 0.05;
  double layer_decay = 1.0;         ///< learning rate of a layer = lr x layer_decay^(layers above it)
  std::optional<double> clip_grad;  ///< bound on the global L2 norm, above 0; none: no clipping
  double smoothing = 0.1;
  double ema_decay = 0;  ///< of moving averages of the weights; 0: none are kept
  bool eval_ema = true;  ///< evaluate these averages
  double beta1 = 0.9;    ///< AdamW
  double beta2 = 0.95;
  double eps = 1e-8;
  double momentum = 0.9;             ///< SGD, LARS
  double trust_coefficient = 0.001;  ///< LARS
  StateDType state_dtype = StateDType::kFloat32;
};

/// `tessera linprobe`: what is probed, and how.
struct ProbeConfig {
  std::string finetune_checkpoint;  ///< a checkpoint, or a file or directory of weights; empty: --load_pretrained, or
                                    ///< --random_init
  bool batch_norm = true;           ///< without affine parameters, before the head
  bool cache_features = false;      ///< compute every image's features once
  bool ema = false;                 ///< --ema, of `eval` as well: take a checkpoint's moving averages
};

struct ZeroConfig {
  std::string config_file;  ///< the DeepSpeed-shaped JSON; empty: none
  bool deepspeed = false;   ///< --deepspeed: without a file, stage 2
  int stage = 0;
  bool overlap_comm = true;
  std::int64_t reduce_bucket_size = 50'000'000;  ///< elements
  bool reduce_at_boundary = false;               ///< keep local gradients over the micro-steps, reduce once
  OffloadChoice offload_optimizer = OffloadChoice::kNone;
  OffloadRatio offload_ratio;
  GradientOffload offload_gradients = GradientOffload::kAuto;
  std::optional<core::DType> communication_data_type;  ///< gradients on the wire; none: as the parameters
};

struct RuntimeConfig {
  DTypeChoice dtype = DTypeChoice::kAuto;
  DeviceChoice device = DeviceChoice::kAuto;
  CollectivesChoice collectives = CollectivesChoice::kAuto;
  std::uint64_t seed = 0;
  bool deterministic = false;  ///< nothing is chosen by measured times: the same bits in every run
  bool quiet = false;
  std::int64_t steps_per_print = 20;
  double heartbeat_timeout = 10;     ///< seconds without a sign of life after which a rank is given up
  double collective_timeout = 1800;  ///< seconds that a rank waits for the others
  double max_minutes = 0;            ///< after which the run saves and stops; 0: no such limit
};

struct OutputConfig {
  std::string output_dir;  ///< empty: nothing is written
  std::string log_dir;     ///< TensorBoard events; empty: output_dir
  std::int64_t save_every_epochs = 10;
  std::int64_t save_every_steps = 0;  ///< 0: off
  double save_every_minutes = 0;      ///< 0: off
  bool async_save = true;             ///< write checkpoints beside the training
  std::int64_t keep_last = 0;         ///< 0: all
  bool keep_best = false;             ///< checkpoint-best follows the best test accuracy
  std::string resume;                 ///< "auto", the path of a checkpoint directory, or empty
};

/// Everything that a run is told. Checked by parse_command_line(), and by validate_world() for what the number of ranks
/// decides; immutable after that.
struct RunConfig {
  ModelConfig model;
  DataConfig data;
  AugmentConfig augment;
  OptimizerConfig optimizer;
  ProbeConfig probe;
  ZeroConfig zero;
  RuntimeConfig runtime;
  OutputConfig output;
  bool eval_only = false;  ///< --eval

  /// Images per optimizer step over all ranks.
  [[nodiscard]] std::int64_t effective_batch(int world_size) const {
    return data.batch_size * data.accum_iter * world_size;
  }
  /// blr x effective batch / 256, or lr where it was given.
  [[nodiscard]] double peak_lr(int world_size) const {
    return optimizer.lr.value_or(optimizer.blr * static_cast<double>(effective_batch(world_size)) / 256.0);
  }
};

}  // namespace tessera::config
