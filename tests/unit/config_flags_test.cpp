// Flags: each one's default and parsing, --help and args.json, and what is said of wrong ones.
#include "config/flags.hpp"
#include "config/refused_flags.hpp"
#include "config/settings.hpp"
#include "unit/config_support.hpp"

#include <filesystem>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

namespace tessera::config {
namespace {

using nlohmann::json;

struct Example {
  json fallback;     // in args.json when nothing is given
  std::string text;  // on the command line; empty: a switch
  json value;        // in args.json then
};

// Every flag of a training run but those whose value must exist on the disk.
const std::map<std::string, Example>& examples() {
  static const std::map<std::string, Example> kExamples{
      {"gradient_checkpointing", {"none", "feed_forward", "feed_forward"}},
      {"global_pool", {false, "", true}},
      {"cls_token", {false, "", true}},
      {"drop_path", {0.0, "0.1", 0.1}},
      {"freeze_blocks", {0, "3", 3}},
      {"load_pretrained", {false, "", true}},
      {"random_init", {true, "", true}},
      {"model_config", {"", "tiny", "tiny"}},
      {"pretrained_model_path", {"", "MODEL", "MODEL"}},
      {"dataset", {"cifar10", "fashion-mnist", "fashion-mnist"}},
      {"data_path", {"", "somewhere", "somewhere"}},
      {"input_size", {224, "64", 64}},
      {"patch_size", {16, "8", 8}},
      {"batch_size", {32, "5", 5}},
      {"accum_iter", {1, "3", 3}},
      {"nb_classes", {0, "100", 100}},
      {"num_workers", {4, "2", 2}},
      {"random_label_ratio", {0.0, "0.2", 0.2}},
      {"hflip", {0.5, "0", 0.0}},
      {"aa", {"", "rand-m9-mstd0.5-inc1", "rand-m9-mstd0.5-inc1"}},
      {"color_jitter", {0.0, "0.4", 0.4}},
      {"reprob", {0.0, "0.25", 0.25}},
      {"remode", {"pixel", "const", "const"}},
      {"recount", {1, "3", 3}},
      {"mixup", {0.0, "0.8", 0.8}},
      {"cutmix", {0.0, "1", 1.0}},
      {"cutmix_minmax", {nullptr, "0.2 0.8", "0.2 0.8"}},
      {"mixup_prob", {1.0, "0.5", 0.5}},
      {"mixup_switch_prob", {0.5, "0.3", 0.3}},
      {"mixup_mode", {"batch", "elem", "elem"}},
      {"no_augment", {false, "", true}},
      {"epochs", {100, "12", 12}},
      {"max_steps", {0, "7", 7}},
      {"blr", {1e-3, "5e-4", 5e-4}},
      {"lr", {nullptr, "0.01", 0.01}},
      {"min_lr", {1e-6, "0", 0.0}},
      {"warmup_epochs", {10.0, "0.5", 0.5}},
      {"warmup_steps", {nullptr, "7", 7}},
      {"opt", {"adamw", "lars", "lars"}},
      {"optimizer_state_dtype", {"fp32", "bf16", "bf16"}},
      {"momentum", {0.9, "0.5", 0.5}},
      {"weight_decay", {0.05, "0", 0.0}},
      {"layer_decay", {1.0, "0.75", 0.75}},
      {"clip_grad", {nullptr, "1", 1.0}},
      {"ema_decay", {0.0, "0.9999", 0.9999}},
      {"eval_ema", {true, "false", false}},
      {"smoothing", {0.1, "0", 0.0}},
      {"config", {"", "FILE", "FILE"}},
      {"deepspeed", {false, "", true}},
      {"zero_stage", {0, "2", 2}},
      {"offload_optimizer", {"none", "cpu", "cpu"}},
      {"offload_ratio", {1.0, "0.25", 0.25}},
      {"offload_gradients", {"auto", "cpu", "cpu"}},
      {"dtype", {"auto", "bf16", "bf16"}},
      {"device", {"auto", "cuda", "cuda"}},
      {"collectives", {"auto", "nccl", "nccl"}},
      {"seed", {0, "9223372036854775807", 9223372036854775807}},
      {"deterministic", {false, "", true}},
      {"steps_per_print", {20, "1", 1}},
      {"heartbeat_timeout", {10.0, "60", 60.0}},
      {"collective_timeout", {1800.0, "600", 600.0}},
      {"max_minutes", {0.0, "90", 90.0}},
      {"quiet", {false, "", true}},
      {"output_dir", {"", "out", "out"}},
      {"log_dir", {"", "logs", "logs"}},
      {"save_every_epochs", {10, "1", 1}},
      {"save_every_steps", {0, "50", 50}},
      {"save_every_minutes", {0.0, "2.5", 2.5}},
      {"async_save", {true, "false", false}},
      {"keep_last", {0, "3", 3}},
      {"keep_best", {false, "", true}},
      {"resume", {"", "CKPT", "CKPT"}},
      {"eval", {false, "", true}},
  };
  return kExamples;
}

// A directory that holds what MODEL, FILE and CKPT stand for.
class Flags : public testing::Test {
 protected:
  Flags() {
    std::filesystem::create_directory(directory_.path("MODEL"));
    std::ofstream(directory_.path("MODEL/config.json")) << to_hugging_face_json(model_preset("tiny"));
    std::filesystem::create_directory(directory_.path("CKPT"));
    static_cast<void>(directory_.write("FILE", "{}"));
  }

  [[nodiscard]] std::string real(const std::string& text) const {
    const bool stands_for_a_path = text == "MODEL" || text == "FILE" || text == "CKPT";
    return stands_for_a_path ? directory_.path(text) : text;
  }

  TemporaryDirectory directory_;
};

TEST_F(Flags, EachHasItsDefaultAndIsRead) {
  const json defaults = settings_of(parse({"config"}));
  // Some flags make sense only together with others.
  const std::map<std::string, std::vector<std::string>> company{
      {"load_pretrained", {"--pretrained_model_path", directory_.path("MODEL")}},
      {"eval", {"--resume", directory_.path("CKPT")}},
      {"momentum", {"--opt", "sgd"}},
      {"offload_optimizer", {"--zero_stage", "2"}},
      {"offload_ratio", {"--zero_stage", "2", "--offload_optimizer", "cpu"}},
      {"offload_gradients", {"--zero_stage", "2", "--offload_optimizer", "cpu"}},
      {"eval_ema", {"--ema_decay", "0.9"}},
      {"save_every_epochs", {"--output_dir", "out"}},
      {"save_every_steps", {"--output_dir", "out"}},
      {"save_every_minutes", {"--output_dir", "out"}},
      {"max_minutes", {"--output_dir", "out"}},
      {"async_save", {"--output_dir", "out"}},
      {"keep_last", {"--output_dir", "out"}},
      {"keep_best", {"--output_dir", "out"}},
      {"remode", {"--reprob", "0.1"}},
      {"recount", {"--reprob", "0.1"}},
      {"mixup_prob", {"--mixup", "1"}},
      {"mixup_switch_prob", {"--mixup", "1", "--cutmix", "1"}},
      {"mixup_mode", {"--mixup", "1"}},
  };
  for (const auto& [name, example] : examples()) {
    EXPECT_EQ(defaults[name], example.fallback) << name;
    std::vector<std::string> words{"config", "--" + name};
    std::istringstream values(real(example.text));
    words.insert(words.end(), std::istream_iterator<std::string>(values), {});
    const auto others = company.find(name);
    words = words + (others != company.end() ? others->second : std::vector<std::string>());
    const json value = settings_of(parse(words))[name];
    EXPECT_EQ(value, example.text.empty() ? example.value
                                          : json(example.value.is_string() ? json(real(example.value)) : example.value))
        << name;
  }
}

TEST_F(Flags, TheExamplesLeaveNoneOut) {
  RunConfig config;
  std::set<std::string> flags;
  for (const Setting& setting : describe(config)) {
    if ((setting.verbs & kForConfig) != 0) {
      flags.emplace(setting.name);
    }
  }
  std::set<std::string> tried;
  for (const auto& [name, example] : examples()) {
    tried.insert(name);
  }
  EXPECT_EQ(tried, flags);
}

TEST_F(Flags, AreDocumentedInTheHelpOfTheirVerbs) {
  Command defaults;
  for (const VerbInfo& verb : verbs()) {
    const std::string help = parse({std::string(verb.name), "--help"}).text;
    EXPECT_CONTAINS(help, "xamples:");
    for (const Setting& setting : describe(defaults)) {
      const bool shown = contains(help, "\n  --" + std::string(setting.name) + " ");
      EXPECT_EQ(shown, (setting.verbs & verb.bit) != 0) << verb.name << " --" << setting.name;
    }
    for (const RefusedFlag& flag : refused_flags()) {
      EXPECT_FALSE(contains(help, "--" + std::string(flag.name) + " ")) << flag.name;
    }
    EXPECT_FALSE(contains(help, " \n"));
  }
  EXPECT_CONTAINS(parse({"--help"}).text, "finetune");
  EXPECT_CONTAINS(parse({"--help"}).text, "; 75 stopped early");
  EXPECT_CONTAINS(parse({"finetune", "--batch_size", "nonsense", "--help"}).text, "--batch_size N");
  EXPECT_EQ(parse({"--version"}).text, "tessera " + std::string(version()) + "\n");
  EXPECT_EQ(parse({"plan", "--version"}).text, parse({"--version"}).text);
}

// Examples are for copying: the data that they name is where Debian's package puts it.
TEST_F(Flags, ExamplesNameDataThatIsThere) {
  if (!std::filesystem::exists("/usr/share/doc/dataset-fashion-mnist")) {
    GTEST_SKIP() << "Debian's package of Fashion-MNIST is not installed";
  }
  std::string help = parse({"--help"}).text;
  for (const VerbInfo& verb : verbs()) {
    help += parse({std::string(verb.name), "--help"}).text;
  }
  std::istringstream words(help);
  int num_paths = 0;
  for (std::string word; words >> word;) {
    if (word.starts_with("/usr/")) {
      EXPECT_TRUE(std::filesystem::exists(word)) << word;
      ++num_paths;
    }
  }
  EXPECT_GT(num_paths, 0);
}

TEST_F(Flags, HelpNamesEveryJsonKey) {
  Command defaults;
  const std::string help = parse({"finetune", "--help"}).text;
  for (const Setting& setting : describe(defaults)) {
    EXPECT_CONTAINS(help, setting.json.empty() ? "" : "\n  " + shown_key(setting.json) + " ");
  }
}

TEST_F(Flags, ArgsJsonHasEverySettingAndTheFacts) {
  const Command command = parse({"config", "--model_config", "tiny", "--batch_size", "8"});
  const json args = json::parse(to_json(command.run, {4, {"alpha", "beta"}, {{"tessera", "0.1.0"}}}));
  RunConfig config;
  for (const Setting& setting : describe(config)) {
    EXPECT_TRUE(args.contains(setting.name)) << setting.name;
  }
  EXPECT_EQ(args["reduce_bucket_size"], 50'000'000);
  EXPECT_EQ(args["world_size"], 4);
  EXPECT_EQ(args["effective_batch"], 32);
  EXPECT_DOUBLE_EQ(args["peak_lr"], 1e-3 * 32 / 256);
  EXPECT_EQ(args["hosts"], json({"alpha", "beta"}));
  EXPECT_EQ(args["versions"]["tessera"], "0.1.0");
  EXPECT_EQ(args["model_shape"]["hidden_size"], 64);
}

TEST_F(Flags, AllMistakesAreReportedTogether) {
  const std::string text = complaint({"finetune", "--epochs", "many", "--batch-size", "3", "--lr", "--quiet", "yes",
                                      "--eval=1", "--start_epoch", "3", "--dataset", "cifar11", "--data_path",
                                      directory_.path("nowhere"), "--smoothing", "1"});
  EXPECT_CONTAINS(text, "10 problems:\n  1. ");
  EXPECT_CONTAINS(text, "--epochs must be a whole number, not 'many'");
  EXPECT_CONTAINS(text, "--batch-size is not a flag of 'tessera finetune'; did you mean --batch_size?");
  EXPECT_CONTAINS(text, "--lr needs a value");
  EXPECT_CONTAINS(text, "'yes' after --quiet is too much: this flag takes no value");
  EXPECT_CONTAINS(text, "--eval takes no value");
  EXPECT_CONTAINS(text, "--start_epoch 3 has no effect here, and so is refused: --resume takes the epoch");
  EXPECT_CONTAINS(text,
                  "--dataset must be cifar10, cifar100, fashion-mnist or imagefolder, not 'cifar11'; did you mean");
  EXPECT_CONTAINS(text, "--smoothing must be from 0 to below 1, not 1");
  EXPECT_CONTAINS(text, directory_.path("nowhere") + ": there is no such file or directory");
  EXPECT_CONTAINS(text, "the model's shape is missing: give --model_config qwen3-0.6b");
}

TEST_F(Flags, OneMistakeIsOneSentence) {
  EXPECT_EQ(complaint({"config", "--epochs", "1.5"}), "[config] --epochs must be a whole number, not '1.5'");
}

TEST_F(Flags, ValuesAreReadToTheLastLetter) {
  EXPECT_CONTAINS(complaint({"config", "--lr", "1e-4x"}), "--lr must be a number, not '1e-4x'");
  EXPECT_CONTAINS(complaint({"config", "--lr", "nan"}), "--lr must be a number");
  EXPECT_CONTAINS(complaint({"config", "--lr", "inf"}), "--lr must be a number");
  EXPECT_CONTAINS(complaint({"config", "--seed", "-1"}), "--seed must be a whole number from 0, not '-1'");
  EXPECT_CONTAINS(complaint({"config", "--seed", "9223372036854775808"}), "--seed must be");
  EXPECT_CONTAINS(complaint({"config", "--batch_size", "99999999999999999999"}), "--batch_size must be");
  EXPECT_CONTAINS(complaint({"config", "--batch_size", ""}), "--batch_size must be a whole number, not ''");
  EXPECT_DOUBLE_EQ(*parse({"config", "--lr=3e-4"}).run.optimizer.lr, 3e-4);
  EXPECT_EQ(complaint({"config", "--lr", "-3e-4"}), "[config] --lr must be above 0, not -0.0003");
}

TEST_F(Flags, GivenTwiceMustAgree) {
  EXPECT_CONTAINS(complaint({"config", "--lr", "1", "--lr", "2"}), "--lr is given twice, as '1' and as '2'");
  EXPECT_EQ(complaint({"config", "--epochs", "20", "--epochs", "20"}), "");
  EXPECT_CONTAINS(complaint({"config", "--config", "a", "--deepspeed_config", "b"}),
                  "--config (its old name is --deepspeed_config) is given twice, as 'a' and as 'b'");
}

TEST_F(Flags, OfOtherVerbsAreNamedAsSuch) {
  EXPECT_CONTAINS(complaint({"finetune", "--world_size", "4"}),
                  "--world_size is not a flag of 'tessera finetune'; it is one of 'tessera plan' and 'tessera config'");
  EXPECT_CONTAINS(complaint({"eval", "--epochs", "4"}), "--epochs is not a flag of 'tessera eval'; it is one of");
  EXPECT_CONTAINS(complaint({"config", "--frobnicate"}), "'tessera config --help' lists them");
}

TEST_F(Flags, OfTheReferenceAreAcceptedWhereTheyChangeNothing) {
  EXPECT_EQ(complaint({"config",    "--mixup",
                       "0",         "--cutmix",
                       "0.0",       "--aa",
                       "",          "--color_jitter",
                       "0",         "--reprob",
                       "0",         "--drop_path",
                       "0.0",       "--random_label_ratio",
                       "0",         "--dist_eval",
                       "--pin_mem", "--remode",
                       "pixel",     "--mixup_prob",
                       "1.0",       "--start_epoch",
                       "0"}),
            "");
  for (const RefusedFlag& flag : refused_flags()) {
    const std::string name = "--" + std::string(flag.name);
    if ((flag.verbs & kForConfig) == 0) {
      continue;
    }
    if (flag.neutral == "on") {
      EXPECT_EQ(complaint({"config", name}), "");
      continue;
    }
    std::vector<std::string> words{"config", name};
    if (flag.takes_value) {
      words.emplace_back("12345");
    }
    EXPECT_CONTAINS(complaint(words), "and so is refused: " + std::string(flag.reason));
  }
}

TEST_F(Flags, VerbsAreNamedAndSuggested) {
  EXPECT_CONTAINS(complaint({"fintune"}), "[config] 'fintune' is no verb of tessera (did you mean finetune?);");
  EXPECT_CONTAINS(complaint({"distill"}), "'distill' is no verb of tessera; there are finetune");
  EXPECT_CONTAINS(complaint({"--lr", "1"}), "the first word must be a verb, not '--lr'");
  EXPECT_CONTAINS(complaint({"config", "stray", "--lr", "1"}), "'stray' stands where a flag should");
  EXPECT_CONTAINS(complaint({}), "a verb is missing");
}

}  // namespace
}  // namespace tessera::config
