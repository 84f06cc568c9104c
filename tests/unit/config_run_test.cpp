// Whole commands: settings against each other, the disk and the number of ranks; and what evaluation leaves open.
#include "unit/config_support.hpp"

namespace tessera::config {
namespace {

class Run : public testing::Test {
 protected:
  Run() {
    std::filesystem::create_directory(directory_.path("model"));
    std::ofstream(directory_.path("model/config.json")) << to_hugging_face_json(model_preset("tiny"));
    std::filesystem::create_directories(directory_.path("out/checkpoint-3"));
  }

  [[nodiscard]] std::vector<std::string> finetune() const {
    return {"finetune", "--model_config", "tiny", "--dataset", "cifar10", "--data_path", directory_.path()};
  }

  TemporaryDirectory directory_;
};

TEST_F(Run, FinetuneNeedsModelAndData) {
  const Command command = parse(finetune());
  EXPECT_EQ(command.verb, Verb::kFinetune);
  EXPECT_EQ(command.run.model.shape.hidden_size, 64);
  EXPECT_TRUE(command.run.model.random_init);
  const std::string text = complaint({"finetune"});
  EXPECT_CONTAINS(text, "3 problems");
  EXPECT_CONTAINS(text, "--dataset NAME is required");
  EXPECT_CONTAINS(text, "--data_path PATH is required");
  EXPECT_CONTAINS(text, "the model's shape is missing");
}

TEST_F(Run, WeightsComeFromTheDirectoryOrFromRandomNumbers) {
  const std::vector<std::string> data{"--dataset", "cifar10", "--data_path", directory_.path()};
  const std::vector<std::string> from{"--pretrained_model_path", directory_.path("model")};
  const std::vector<std::string> start{"finetune"};
  EXPECT_FALSE(parse(start + data + from + std::vector<std::string>{"--load_pretrained"}).run.model.random_init);
  const Command open = parse(start + data + from);
  EXPECT_TRUE(open.run.model.random_init);
  ASSERT_EQ(open.notes.size(), 1U);
  EXPECT_CONTAINS(open.notes.front(), "weights start at random");
  EXPECT_TRUE(parse(start + data + from + std::vector<std::string>{"--random_init"}).notes.empty());
  EXPECT_CONTAINS(complaint(start + data + from + std::vector<std::string>{"--load_pretrained", "--random_init"}),
                  "contradict each other");
  EXPECT_CONTAINS(complaint(finetune() + std::vector<std::string>{"--load_pretrained"}),
                  "--load_pretrained needs --pretrained_model_path");
  EXPECT_CONTAINS(complaint(finetune() + from), "both say the model's shape");
  EXPECT_CONTAINS(complaint(start + data + std::vector<std::string>{"--pretrained_model_path", "Qwen/Qwen3-8B"}),
                  "there is no such directory; it must be local");
  EXPECT_CONTAINS(complaint(start + data + std::vector<std::string>{"--pretrained_model_path", directory_.path("out")}),
                  "config.json: the file cannot be read");
}

TEST_F(Run, ImagesDivideIntoPatchesThatFitTheModel) {
  EXPECT_EQ(parse(finetune()).run.data.num_tokens(), 196);
  EXPECT_CONTAINS(complaint(finetune() + std::vector<std::string>{"--input_size", "30"}),
                  "--input_size 30 does not divide into patches of --patch_size 16");
  EXPECT_CONTAINS(complaint(finetune() + std::vector<std::string>{"--input_size", "1040"}),
                  "makes 4225 tokens, but the model has positions for 4096");
  EXPECT_CONTAINS(
      complaint(finetune() + std::vector<std::string>{"--input_size", "4000000000000", "--patch_size", "1"}),
      "tokens, but the model has positions for 4096");
  EXPECT_CONTAINS(complaint(finetune() + std::vector<std::string>{"--patch_size", "0"}),
                  "--patch_size must be above 0");
}

TEST_F(Run, SettingsFitEachOther) {
  const auto with = [&](const std::vector<std::string>& more) { return complaint(finetune() + more); };
  EXPECT_CONTAINS(with({"--epochs", "5"}), "--warmup_epochs 10 must be shorter than --epochs 5; the default warm-up");
  EXPECT_EQ(with({"--epochs", "5", "--warmup_epochs", "1"}), "");
  EXPECT_EQ(with({"--epochs", "5", "--warmup_steps", "3"}), "");
  EXPECT_CONTAINS(with({"--warmup_steps", "3", "--warmup_epochs", "1"}), "both say how long the warm-up is");
  EXPECT_CONTAINS(with({"--lr", "1e-4", "--blr", "1e-3"}), "--lr and --blr are both given");
  EXPECT_CONTAINS(with({"--freeze_blocks", "99"}), "--freeze_blocks 99: the model has ");
  EXPECT_EQ(with({"--freeze_blocks", "1"}), "");
  EXPECT_CONTAINS(with({"--momentum", "0.8"}), "--momentum has no effect with --opt adamw");
  EXPECT_EQ(with({"--momentum", "0.8", "--opt", "sgd"}), "");
  EXPECT_CONTAINS(with({"--opt", "adam"}), "must be adamw, sgd or lars, not 'adam'");
  EXPECT_CONTAINS(with({"--no_augment", "--mixup", "0.8"}), "--mixup has no effect with --no_augment");
  EXPECT_CONTAINS(with({"--zero_stage", "3"}), "--zero_stage is 3");
  EXPECT_CONTAINS(with({"--device", "cpu", "--collectives", "nccl"}), "--collectives nccl needs GPUs");
  EXPECT_CONTAINS(with({"--save_every_steps", "5"}), "--save_every_steps has no effect without --output_dir");
  EXPECT_CONTAINS(with({"--layer_decay", "0"}), "--layer_decay must be above 0 and at most 1, not 0");
  EXPECT_CONTAINS(with({"--layer_decay", "1.1"}), "--layer_decay must be above 0 and at most 1");
  EXPECT_FALSE(parse(finetune() + std::vector<std::string>{"--clip_grad", "0"}).run.optimizer.clip_grad.has_value());
  const std::string wire = directory_.write("wire.json", R"({"communication_data_type": "bf16"})");
  EXPECT_CONTAINS(with({"--config", wire, "--dtype", "fp32"}), "gradients travel in fp32 then");
  EXPECT_EQ(with({"--config", wire}), "");
}

TEST_F(Run, ResumeTakesAPathOrANameInTheOutputDirectory) {
  const auto resumed = [&](const std::vector<std::string>& more) { return parse(finetune() + more).run.output.resume; };
  const std::string out = directory_.path("out");
  EXPECT_EQ(resumed({"--output_dir", out, "--resume", "checkpoint-3"}), out + "/checkpoint-3");
  EXPECT_EQ(resumed({"--resume", out + "/checkpoint-3"}), out + "/checkpoint-3");
  EXPECT_EQ(resumed({"--output_dir", out, "--resume", "auto"}), "auto");
  EXPECT_EQ(resumed({"--resume", ""}), "");
  EXPECT_CONTAINS(complaint(finetune() + std::vector<std::string>{"--resume", "auto"}), "which was not given");
  EXPECT_CONTAINS(complaint(finetune() + std::vector<std::string>{"--output_dir", out, "--resume", "checkpoint-4"}),
                  "there is no such checkpoint directory, nor " + out + "/checkpoint-4");
  EXPECT_CONTAINS(complaint(finetune() + std::vector<std::string>{"--eval"}), "say which with --resume");
}

TEST_F(Run, PlanNeedsNeitherDataNorRanks) {
  const Command one = parse({"plan", "--model_config", "qwen3-8b"});
  EXPECT_EQ(one.plan.world_size, 1);
  EXPECT_EQ(one.notes.size(), 1U);
  const Command command = parse({"plan", "--model_config", "qwen3-8b", "--world_size", "4", "--gpu_memory", "80GiB",
                                 "--json", "--data_path", "/not/here"});
  EXPECT_EQ(command.plan.world_size, 4);
  EXPECT_EQ(command.plan.gpu_memory->bytes, 80LL << 30);
  EXPECT_TRUE(command.json);
  EXPECT_CONTAINS(complaint({"plan", "--model_config", "tiny", "--gpu_memory", "80 gibs"}), "such as 80GiB");
  EXPECT_CONTAINS(complaint({"plan", "--model_config", "tiny", "--world_size", "0"}), "--world_size must be above 0");
  EXPECT_CONTAINS(complaint({"plan", "--model_config", "tiny", "--dataset", "imagefolder"}), "give --nb_classes");
  EXPECT_CONTAINS(complaint({"plan"}), "the model's shape is missing");
}

// train_batch_size = micro-batch x micro-steps x ranks, as DeepSpeed solves it.
TEST_F(Run, TheBatchTriangleIsSolvedForTheWorld) {
  const auto solved = [&](const std::string& json, const std::vector<std::string>& flags, int ranks) {
    Command command = parse(with_json(directory_, json) + flags);
    validate_world(command.run, ranks);
    return std::pair(command.run.data.batch_size, command.run.data.accum_iter);
  };
  using Pair = std::pair<std::int64_t, std::int64_t>;
  const std::string total = R"({"train_batch_size": 96)";
  EXPECT_EQ(solved(total + "}", {}, 3), Pair(32, 1));
  EXPECT_EQ(solved(total + "}", {}, 2), Pair(48, 1));
  EXPECT_EQ(solved(total + "}", {"--batch_size", "8"}, 3), Pair(8, 4));
  EXPECT_EQ(solved(total + "}", {"--accum_iter", "2"}, 3), Pair(16, 2));
  EXPECT_EQ(solved(total + R"(, "train_micro_batch_size_per_gpu": 4})", {}, 3), Pair(4, 8));
  EXPECT_EQ(solved(total + R"(, "gradient_accumulation_steps": 3})", {}, 2), Pair(16, 3));
  EXPECT_EQ(solved(total + R"(, "gradient_accumulation_steps": 3})", {"--batch_size", "16"}, 2), Pair(16, 3));
  EXPECT_EQ(solved(total + R"(, "train_micro_batch_size_per_gpu": "auto"})", {}, 3), Pair(32, 1));
  EXPECT_EQ(solved(R"({"train_batch_size": "auto"})", {"--batch_size", "7"}, 3), Pair(7, 1));
  EXPECT_CONTAINS(message_of([&] { solved(total + "}", {}, 5); }),
                  "train_batch_size 96 leaves no whole train_micro_batch_size_per_gpu: it does not divide by 5");
  EXPECT_CONTAINS(message_of([&] {
                    solved(total + "}", {"--batch_size", "32"}, 2);
                  }),
                  "leaves no whole gradient_accumulation_steps");
  EXPECT_CONTAINS(message_of([&] {
                    solved(total + "}", {"--batch_size", "8", "--accum_iter", "2"}, 4);
                  }),
                  "8 images per micro-step x 2 micro-steps x 4 ranks are 64");
}

TEST_F(Run, TheLearningRateIsCheckedAgainstTheWorld) {
  Command command = parse(finetune() + std::vector<std::string>{"--batch_size", "8", "--blr", "2e-5"});
  EXPECT_NO_THROW(validate_world(command.run, 2));
  EXPECT_CONTAINS(message_of([&] { validate_world(command.run, 1); }),
                  "--min_lr 1e-06 is above the peak learning rate");
  command = parse(finetune() + std::vector<std::string>{"--lr", "1e-7"});
  EXPECT_CONTAINS(message_of([&] { validate_world(command.run, 1); }), "(--lr)");
  command =
      parse(finetune() + std::vector<std::string>{"--batch_size", "4000000000000", "--accum_iter", "4000000000000"});
  EXPECT_CONTAINS(message_of([&] { validate_world(command.run, 1); }), "beyond reason");
  EXPECT_CONTAINS(message_of([&] { validate_world(command.run, 0); }), "must be above 0");
}

TEST_F(Run, EvaluationTakesFromTheCheckpointWhatIsNotGiven) {
  const std::vector<std::string> words{"eval", "--checkpoint", directory_.path("out/checkpoint-3"), "--data_path",
                                       directory_.path()};
  const RecordedRun recorded{to_hugging_face_json(model_preset("tiny")), "fashion-mnist", 32, 4};
  Command command = parse(words);
  EXPECT_TRUE(command.open.shape && command.open.dataset && command.open.input_size && command.open.patch_size);
  fill_from_checkpoint(command, recorded);
  EXPECT_EQ(command.run.model.shape.hidden_size, 64);
  EXPECT_EQ(command.run.data.dataset, DatasetKind::kFashionMnist);
  EXPECT_EQ(command.run.data.num_tokens(), 64);
  EXPECT_FALSE(command.open.shape || command.open.patch_size);

  command = parse(words + std::vector<std::string>{"--input_size", "64", "--dataset", "cifar10"});
  fill_from_checkpoint(command, recorded);
  EXPECT_EQ(command.run.data.input_size, 64);
  EXPECT_EQ(command.run.data.dataset, DatasetKind::kCifar10);

  command = parse(words + std::vector<std::string>{"--patch_size", "8"});
  EXPECT_CONTAINS(message_of([&] { fill_from_checkpoint(command, recorded); }), "--patch_size 8 is not the 4");
  command = parse(words + std::vector<std::string>{"--input_size", "30"});
  EXPECT_CONTAINS(message_of([&] { fill_from_checkpoint(command, recorded); }), "does not divide into patches");
  command = parse(words);
  const std::string text = message_of([&] { fill_from_checkpoint(command, {}); });
  EXPECT_CONTAINS(text, "4 problems");
  EXPECT_CONTAINS(text, "does not say --model_config: give it");
}

TEST_F(Run, TheHeadReadsWhatTheCheckpointSays) {
  EXPECT_EQ(parse(finetune()).run.model.pooling(), Pooling::kLastToken);
  EXPECT_EQ(parse(finetune() + std::vector<std::string>{"--global_pool"}).run.model.pooling(), Pooling::kMean);
  EXPECT_EQ(parse(finetune() + std::vector<std::string>{"--cls_token"}).run.model.pooling(), Pooling::kClassToken);
  EXPECT_CONTAINS(complaint(finetune() + std::vector<std::string>{"--cls_token", "--global_pool"}),
                  "--global_pool and --cls_token both say what the head reads");

  const std::string checkpoint = directory_.path("out/checkpoint-3");
  RecordedRun recorded{to_hugging_face_json(model_preset("tiny")), "fashion-mnist", 32, 4};
  for (const Pooling pooling : {Pooling::kLastToken, Pooling::kMean, Pooling::kClassToken}) {
    recorded.pooling = pooling_from_name(name_of(pooling));
    Command command = parse({"eval", "--checkpoint", checkpoint, "--data_path", directory_.path()});
    fill_from_checkpoint(command, recorded);
    EXPECT_EQ(command.run.model.pooling(), pooling);
    command = parse({"eval", "--checkpoint", checkpoint, "--data_path", directory_.path(), "--global_pool"});
    EXPECT_EQ(message_of([&] { fill_from_checkpoint(command, recorded); }).empty(), pooling == Pooling::kMean);
    command =
        parse({"linprobe", "--finetune_checkpoint", checkpoint, "--data_path", directory_.path(), "--global_pool"});
    fill_from_checkpoint(command, recorded);
    EXPECT_EQ(command.run.model.pooling(), Pooling::kMean) << "a probe may read the mean of any backbone's tokens";
  }
  recorded.pooling.reset();
  Command command = parse({"eval", "--checkpoint", checkpoint, "--data_path", directory_.path(), "--cls_token"});
  fill_from_checkpoint(command, recorded);
  EXPECT_EQ(command.run.model.pooling(), Pooling::kClassToken) << "files of weights do not say";
}

TEST_F(Run, EvaluationNeedsCheckpointAndData) {
  const std::string text = complaint({"eval"});
  EXPECT_CONTAINS(text, "--checkpoint PATH is required");
  EXPECT_CONTAINS(text, "--data_path PATH is required");
  EXPECT_CONTAINS(complaint({"eval", "--checkpoint", "/not/here", "--data_path", directory_.path()}),
                  "--checkpoint /not/here: there is no such file or directory");
}

TEST_F(Run, ALinearProbeHasMaesRecipe) {
  const std::string checkpoint = directory_.path("out/checkpoint-3");
  const std::vector<std::string> words{"linprobe", "--finetune_checkpoint", checkpoint, "--data_path",
                                       directory_.path()};
  Command command = parse(words);
  const OptimizerConfig& optimizer = command.run.optimizer;
  EXPECT_EQ(optimizer.opt, OptimizerKind::kLars);
  EXPECT_EQ(optimizer.epochs, 90);
  EXPECT_EQ(optimizer.warmup_epochs, 10);
  EXPECT_EQ(optimizer.weight_decay, 0);
  EXPECT_EQ(optimizer.smoothing, 0);
  EXPECT_EQ(optimizer.min_lr, 0);
  EXPECT_DOUBLE_EQ(command.run.peak_lr(4), 0.1 * 128 * 4 / 256);
  EXPECT_TRUE(command.run.probe.batch_norm);
  const RecordedRun recorded{to_hugging_face_json(model_preset("tiny")), "fashion-mnist", 32, 4};
  fill_from_checkpoint(command, recorded);
  EXPECT_EQ(command.run.model.shape.hidden_size, 64);
  EXPECT_EQ(command.run.data.dataset, DatasetKind::kFashionMnist);
  command = parse(words + std::vector<std::string>{"--dataset", "cifar10", "--opt", "sgd", "--batch_norm", "false"});
  fill_from_checkpoint(command, recorded);
  EXPECT_EQ(command.run.data.dataset, DatasetKind::kCifar10) << "a probe may be of other data than the training";
  EXPECT_EQ(command.run.optimizer.opt, OptimizerKind::kSgd);
  EXPECT_FALSE(command.run.probe.batch_norm);
  EXPECT_EQ(parse(finetune()).run.optimizer.opt, OptimizerKind::kAdamW) << "the defaults of other verbs stay";
  EXPECT_CONTAINS(parse({"linprobe", "--help"}).text, "[default 90]");
}

TEST_F(Run, ALinearProbeNeedsOneSetOfWeights) {
  const std::vector<std::string> start{"linprobe", "--data_path", directory_.path()};
  const auto with = [&](const std::vector<std::string>& more) { return complaint(start + more); };
  const std::vector<std::string> data{"--dataset", "cifar10"};
  const std::vector<std::string> checkpoint{"--finetune_checkpoint", directory_.path("out/checkpoint-3")};
  const std::vector<std::string> model{"--pretrained_model_path", directory_.path("model")};
  EXPECT_CONTAINS(with(data + model), "no weights are to be probed: give one of --finetune_checkpoint PATH");
  EXPECT_EQ(with(data + model + std::vector<std::string>{"--load_pretrained"}), "");
  EXPECT_EQ(with(data + model + std::vector<std::string>{"--random_init"}), "");
  EXPECT_CONTAINS(with(checkpoint + std::vector<std::string>{"--random_init"}), "different weights are to be probed");
  EXPECT_CONTAINS(with(model + std::vector<std::string>{"--load_pretrained"}), "--dataset NAME is required");
  EXPECT_CONTAINS(with({"--finetune_checkpoint", "/not/here"}), "there is no such file or directory");
  EXPECT_CONTAINS(with(checkpoint + std::vector<std::string>{"--cache_features"}), "give --no_augment too");
  EXPECT_EQ(with(checkpoint + std::vector<std::string>{"--cache_features", "--no_augment"}), "");
  EXPECT_CONTAINS(with(checkpoint + std::vector<std::string>{"--gradient_checkpointing"}),
                  "is not a flag of 'tessera linprobe'");
  EXPECT_EQ(with(checkpoint + std::vector<std::string>{"--linear_probe", "--deepspeed_checkpoint"}), "");
  EXPECT_CONTAINS(complaint(finetune() + std::vector<std::string>{"--linear_probe"}), "'tessera linprobe' trains");
  const std::string wire = directory_.write("wire.json", R"({"communication_data_type": "bf16"})");
  EXPECT_CONTAINS(with(checkpoint + std::vector<std::string>{"--config", wire}), "the head of a linear probe is fp32");
}

TEST_F(Run, APlanMayBeOfALinearProbe) {
  const std::vector<std::string> words{"plan", "--model_config", "qwen3-8b", "--dataset", "cifar100"};
  const Command command = parse(words + std::vector<std::string>{"--linprobe", "--batch_size", "256"});
  EXPECT_EQ(command.verb, Verb::kPlan);
  EXPECT_EQ(command.run.optimizer.opt, OptimizerKind::kLars);
  EXPECT_CONTAINS(complaint(words + std::vector<std::string>{"--batch_norm", "false"}), "is of a linear probe");
  EXPECT_CONTAINS(complaint(words + std::vector<std::string>{"--linprobe", "--gradient_checkpointing"}), "no effect");
}

TEST(Names, AreThoseOfTheCommandLine) {
  EXPECT_EQ(name_of(DatasetKind::kFashionMnist), "fashion-mnist");
  EXPECT_EQ(name_of(DTypeChoice::kBFloat16), "bf16");
  EXPECT_EQ(name_of(DeviceChoice::kCpu), "cpu");
  EXPECT_EQ(name_of(CollectivesChoice::kNccl), "nccl");
  EXPECT_EQ(dataset_from_name("imagefolder"), DatasetKind::kImageFolder);
  EXPECT_THROW(dataset_from_name("imagenet"), core::UserError);
}

TEST(GradientCheckpointing, TakesALevelOrStandsAlone) {
  const auto level = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"plan", "--model_config", "tiny", "--input_size", "32", "--patch_size", "4"});
    return parse(more).run.model.gradient_checkpointing;
  };
  EXPECT_EQ(level({}), GradientCheckpointing::kNone);
  EXPECT_EQ(level({"--gradient_checkpointing"}), GradientCheckpointing::kBlock);
  EXPECT_EQ(level({"--gradient_checkpointing", "--batch_size", "4"}), GradientCheckpointing::kBlock);
  EXPECT_EQ(level({"--gradient_checkpointing=feed_forward"}), GradientCheckpointing::kFeedForward);
  EXPECT_EQ(level({"--gradient_checkpointing", "auto", "--gpu_memory", "80GiB"}), GradientCheckpointing::kAuto);
  EXPECT_CONTAINS(complaint({"plan", "--model_config", "tiny", "--gradient_checkpointing", "auto"}),
                  "give --gpu_memory");
  EXPECT_CONTAINS(complaint({"plan", "--model_config", "tiny", "--gradient_checkpointing", "blocks"}),
                  "did you mean block?");
}

}  // namespace
}  // namespace tessera::config
