// The DeepSpeed-shaped JSON: key by key, against the flags, and written back.
#include "config/fixed_keys.hpp"
#include "config/settings.hpp"
#include "unit/config_support.hpp"

#include <algorithm>
#include <map>
#include <tuple>

namespace tessera::config {
namespace {

using nlohmann::json;

json nested(std::string path, const json& value) {
  std::replace(path.begin(), path.end(), '.', '/');
  json object = json::object();
  object[json::json_pointer("/" + path)] = value;
  return object;
}

struct Example {
  json in_file;
  std::string setting;  // in args.json
  json value;
  std::vector<std::string> same_flag;   // says the same; none where there is no flag
  std::vector<std::string> other_flag;  // says something else
};

const std::map<std::string, Example>& examples() {
  static const std::map<std::string, Example> kExamples{
      {"train_batch_size", {384, "train_batch_size", 384, {}, {}}},
      {"train_micro_batch_size_per_gpu", {16, "batch_size", 16, {"--batch_size", "16"}, {"--batch_size", "8"}}},
      {"gradient_accumulation_steps", {4, "accum_iter", 4, {"--accum_iter", "4"}, {"--accum_iter", "1"}}},
      {"gradient_clipping", {0.5, "clip_grad", 0.5, {"--clip_grad", "0.5"}, {"--clip_grad", "1"}}},
      {"optimizer.params.lr", {2e-4, "lr", 2e-4, {"--lr", "2e-4"}, {"--lr", "1e-4"}}},
      {"optimizer.params.weight_decay",
       {0.1, "weight_decay", 0.1, {"--weight_decay", "0.1"}, {"--weight_decay", "0.05"}}},
      {"optimizer.params.betas", {{0.8, 0.99}, "beta2", 0.99, {}, {}}},
      {"optimizer.params.eps", {1e-6, "eps", 1e-6, {}, {}}},
      {"optimizer.type", {"SGD", "opt", "sgd", {"--opt", "sgd"}, {"--opt", "lars"}}},
      {"optimizer.state_dtype",
       {"bf16",
        "optimizer_state_dtype",
        "bf16",
        {"--optimizer_state_dtype", "bf16"},
        {"--optimizer_state_dtype", "fp32"}}},
      {"optimizer.params.momentum", {0.5, "momentum", 0.5, {"--momentum", "0.5"}, {"--momentum", "0.9"}}},
      {"optimizer.params.trust_coefficient", {0.01, "trust_coefficient", 0.01, {}, {}}},
      {"bf16.enabled", {true, "dtype", "bf16", {"--dtype", "bf16"}, {"--dtype", "fp32"}}},
      {"communication_data_type", {"fp32", "communication_data_type", "fp32", {}, {}}},
      {"steps_per_print", {100, "steps_per_print", 100, {"--steps_per_print", "100"}, {"--steps_per_print", "20"}}},
      {"zero_optimization.stage", {2, "zero_stage", 2, {"--zero_stage", "2"}, {"--zero_stage", "0"}}},
      {"zero_optimization.offload_optimizer.device",
       {"cpu", "offload_optimizer", "cpu", {"--offload_optimizer", "cpu"}, {"--offload_optimizer", "none"}}},
      {"zero_optimization.offload_optimizer.ratio",
       {0.5, "offload_ratio", 0.5, {"--offload_ratio", "0.5"}, {"--offload_ratio", "1"}}},
      {"zero_optimization.offload_optimizer.gradients",
       {"cpu", "offload_gradients", "cpu", {"--offload_gradients", "cpu"}, {"--offload_gradients", "none"}}},
      {"zero_optimization.overlap_comm", {false, "overlap_comm", false, {}, {}}},
      {"zero_optimization.reduce_bucket_size", {2e8, "reduce_bucket_size", 200'000'000, {}, {}}},
      {"zero_optimization.reduce_at_boundary", {true, "reduce_at_boundary", true, {}, {}}},
  };
  return kExamples;
}

class DeepSpeedJson : public testing::Test {
 protected:
  [[nodiscard]] std::vector<std::string> given(const json& file) const { return with_json(directory_, file.dump()); }
  /// The file with this key, and the flags that give it an effect.
  [[nodiscard]] std::vector<std::string> given(const std::string& path, const json& value) const {
    const bool is_of_lars = path.ends_with(".momentum") || path.ends_with(".trust_coefficient");
    const bool is_of_shares = path.ends_with("offload_optimizer.device");
    const bool is_of_offload = path.ends_with("offload_optimizer.ratio") || path.ends_with(".gradients");
    std::vector<std::string> flags;
    if (is_of_lars) {
      flags = {"--opt", "lars"};
    } else if (is_of_shares || is_of_offload) {
      flags = {"--zero_stage", "2"};
    }
    if (is_of_offload) {
      flags = flags + std::vector<std::string>{"--offload_optimizer", "cpu"};
    }
    return given(nested(path, value)) + flags;
  }
  [[nodiscard]] std::string complaint_about(const std::string& text) const {
    return complaint(with_json(directory_, text));
  }
  TemporaryDirectory directory_;
};

TEST_F(DeepSpeedJson, EveryKeySetsItsSetting) {
  for (const auto& [path, example] : examples()) {
    EXPECT_EQ(settings_of(parse(given(path, example.in_file)))[example.setting], example.value) << path;
  }
}

TEST_F(DeepSpeedJson, TheExamplesLeaveNoKeyOut) {
  RunConfig config;
  for (const Setting& setting : describe(config)) {
    std::string path(setting.json);
    path = path.substr(0, path.find(".betas") == std::string::npos ? path.size() : path.find(".betas") + 6);
    EXPECT_TRUE(path.empty() || examples().contains(path)) << path;
  }
}

TEST_F(DeepSpeedJson, AutoAndNullTakeWhatTheFlagsSay) {
  const json defaults = settings_of(parse({"config"}));
  for (const auto& [path, example] : examples()) {
    for (const json& open : {json("auto"), json(nullptr)}) {
      const auto words = given(path, open);
      const bool is_own_auto = path.ends_with("offload_optimizer.ratio") && open == "auto";
      EXPECT_EQ(settings_of(parse(words))[example.setting], is_own_auto ? open : defaults[example.setting]) << path;
      if (!example.same_flag.empty()) {
        EXPECT_EQ(settings_of(parse(words + example.same_flag))[example.setting], example.value) << path;
      }
    }
  }
}

TEST_F(DeepSpeedJson, ANumberAndAFlagMustAgree) {
  for (const auto& [path, example] : examples()) {
    const auto words = given(path, example.in_file);
    EXPECT_EQ(complaint(words + example.same_flag), "") << path;
    if (!example.other_flag.empty()) {
      const std::string text = complaint(words + example.other_flag);
      EXPECT_CONTAINS(text, example.other_flag.front() + " is ");
      EXPECT_CONTAINS(text, path + " in ");
      EXPECT_CONTAINS(text, "make them agree");
    }
  }
}

TEST_F(DeepSpeedJson, WrongTypesAreNamed) {
  for (const auto& [path, example] : examples()) {
    const json wrong = example.in_file.is_string() ? json(3) : json("three");
    const std::string text = complaint(given(nested(path, wrong)));
    EXPECT_CONTAINS(text, "run.json: " + path + " must be ");
    EXPECT_CONTAINS(complaint(given(nested(path, {{"a", 1}}))), path);
  }
  EXPECT_CONTAINS(complaint(given(nested("train_micro_batch_size_per_gpu", 16.5))), "must be a whole number, not 16.5");
  EXPECT_CONTAINS(complaint(given(nested("optimizer.params.betas", {0.9}))), "must be two numbers");
  EXPECT_CONTAINS(complaint(given(nested("optimizer.params.betas", {0.9, 1.5}))), "betas[1] in ");
  EXPECT_CONTAINS(complaint(given(nested("zero_optimization", 2))), "zero_optimization must be a section");
  EXPECT_CONTAINS(complaint(given(nested("communication_data_type", "fp16"))), "must be fp32 or bf16, not 'fp16'");
  EXPECT_CONTAINS(complaint(given(nested("steps_per_print", 18446744073709551615ULL))), "must be a whole number");
}

TEST_F(DeepSpeedJson, RangesHoldForTheFileToo) {
  EXPECT_CONTAINS(complaint(given(nested("train_batch_size", 0))), "train_batch_size in ");
  EXPECT_CONTAINS(complaint(given(nested("zero_optimization.reduce_bucket_size", -1))), "must be above 0, not -1");
  EXPECT_CONTAINS(complaint(given(nested("zero_optimization.stage", 3))), "spreads the parameters as well");
  EXPECT_CONTAINS(complaint(given(nested("zero_optimization.stage", -1))), "must be 0, 1 or 2, not -1");
  const std::string ratio = "zero_optimization.offload_optimizer.ratio";
  for (const double beyond : {1.5, -0.1}) {
    EXPECT_CONTAINS(complaint(given(ratio, beyond)), "offload_optimizer.ratio in ");
    EXPECT_CONTAINS(complaint(given(ratio, beyond)), "must be from 0 to 1, not ");
  }
  EXPECT_CONTAINS(complaint(given(nested(ratio, 0.5))), "has no effect without --offload_optimizer cpu");
  EXPECT_CONTAINS(complaint(given(nested("zero_optimization.offload_optimizer.gradients", "cpu"))),
                  "has no effect without --offload_optimizer cpu");
  EXPECT_EQ(complaint(given(nested(ratio, 1.0))), "") << "DeepSpeed's default";
  EXPECT_FALSE(parse(given(nested("gradient_clipping", 0))).run.optimizer.clip_grad.has_value());
}

TEST_F(DeepSpeedJson, KeysOfAnotherOptimizerAreRefused) {
  for (const auto& [type, key, value] : {std::tuple("SGD", "betas", json({0.9, 0.99})),
                                         {"lars", "eps", json(1e-6)},
                                         {"adamw", "momentum", json(0.5)},
                                         {"sgd", "trust_coefficient", json(0.1)}}) {
    const json file{{"optimizer", {{"type", type}, {"params", {{key, value}}}}}};
    EXPECT_CONTAINS(complaint(given(file)), "has no effect with optimizer.type in ");
  }
  EXPECT_EQ(complaint(given({{"optimizer", {{"type", "LARS"}, {"params", {{"momentum", 0.8}}}}}})), "");
}

TEST_F(DeepSpeedJson, FixedKeysAreAcceptedAtTheirValueAndRefusedAtOthers) {
  for (const FixedKey& key : fixed_keys()) {
    std::string path(key.path);
    path = path.ends_with('*') ? path.substr(0, path.size() - 1) + "anything" : path;
    const auto file = [&](const json& value) {
      return given(nested(key.gate.empty() ? path : path + "." + std::string(key.gate), value));
    };
    EXPECT_EQ(complaint(file(nullptr)), "") << path;
    std::string rest(key.allowed);
    for (std::size_t bar = 0; !rest.empty() && rest != "*"; rest.erase(0, std::min(bar, rest.size() - 1) + 1)) {
      bar = rest.find('|');
      EXPECT_EQ(complaint(file(json::parse(rest.substr(0, bar)))), "") << path << " = " << rest;
    }
    if (key.allowed != "*") {
      const std::string text = complaint(file(12345));
      EXPECT_CONTAINS(text, "run.json: " + path + " = ");
      EXPECT_CONTAINS(text, std::string(key.reason));
    }
  }
}

TEST_F(DeepSpeedJson, SectionsThatAreOffMayHoldAnything) {
  EXPECT_EQ(complaint_about(R"({"fp16": {"enabled": false, "loss_scale": 0, "loss_scale_window": 1000}})"), "");
  EXPECT_EQ(complaint_about(R"({"zero_optimization": {"offload_optimizer": {"device": "none", "pin_memory": true}}})"),
            "");
  EXPECT_CONTAINS(complaint_about(R"({"zero_optimization": {"offload_optimizer": {"device": "nvme"}}})"),
                  "offload_optimizer.device must be none or cpu");
  EXPECT_CONTAINS(complaint_about(R"({"zero_optimization": {"offload_optimizer": {"nvme_path": "/local"}}})"),
                  "offloads to host memory");
  EXPECT_CONTAINS(complaint_about(R"({"fp16": true})"), "need no loss scaling");
  EXPECT_CONTAINS(complaint_about(R"({"scheduler": {"type": "WarmupLR"}})"), "--warmup_epochs");
}

TEST_F(DeepSpeedJson, GatherBucketsAreTheReduceBuckets) {
  EXPECT_EQ(
      complaint_about(R"({"zero_optimization": {"allgather_bucket_size": 2e8, "reduce_bucket_size": 200000000}})"), "");
  EXPECT_EQ(complaint_about(R"({"zero_optimization": {"allgather_bucket_size": "auto", "reduce_bucket_size": 3}})"),
            "");
  EXPECT_CONTAINS(
      complaint_about(R"({"zero_optimization": {"allgather_bucket_size": 5e8, "reduce_bucket_size": 2e8}})"),
      "parameters and gradients share their buckets");
  EXPECT_CONTAINS(complaint_about(R"({"zero_optimization": {"allgather_bucket_size": "big"}})"), "share their buckets");
}

TEST_F(DeepSpeedJson, UnknownKeysAreNamedWithTheNearest) {
  EXPECT_CONTAINS(complaint_about(R"({"zero_optimization": {"overlap_com": true}})"),
                  "zero_optimization.overlap_com is not a key that this program knows; did you mean "
                  "zero_optimization.overlap_comm?");
  EXPECT_CONTAINS(complaint_about(R"({"stage": 2})"), "did you mean zero_optimization.stage?");
  EXPECT_CONTAINS(complaint_about(R"({"train_batchsize": 2})"), "did you mean train_batch_size?");
  EXPECT_CONTAINS(complaint_about(R"({"optimizer": {"params": {"epss": 2}}})"), "did you mean optimizer.params.eps?");
  EXPECT_CONTAINS(complaint_about(R"({"quux_frobnicator": {"a": 2}})"), "quux_frobnicator is not a key");
}

TEST_F(DeepSpeedJson, ProblemsOfFileAndFlagsComeTogether) {
  const std::string text =
      complaint(with_json(directory_, R"({"fp16": {"enabled": true}, "nonsense": 1, "optimizer": {"type": "Adam"}})") +
                std::vector<std::string>{"--epochs", "x", "--nonsense"});
  EXPECT_CONTAINS(text, "5 problems");
  EXPECT_CONTAINS(text, R"(optimizer.type must be "AdamW" (DeepSpeed's "Adam" means that too)");
}

TEST_F(DeepSpeedJson, CommentsAreAllowedAndMistakesHaveALine) {
  EXPECT_EQ(parse(with_json(directory_, "// a\n{ // b\n \"steps_per_print\": 7 // c\n}\n")).run.runtime.steps_per_print,
            7);
  EXPECT_CONTAINS(complaint_about("{\n  \"steps_per_print\": 7,\n}"), "is no valid JSON: parse error at line 3");
  EXPECT_CONTAINS(complaint_about("[]"), "one JSON object");
  EXPECT_CONTAINS(complaint_about(""), "is no valid JSON");
  EXPECT_CONTAINS(complaint_about(R"({"bf16": {"enabled": true, "enabled": false}})"), "\"enabled\" stands twice");
  EXPECT_EQ(complaint_about(R"({"bf16": {"enabled": false}, "fp16": {"enabled": false}})"), "");
  EXPECT_CONTAINS(complaint({"config", "--config", directory_.path("none.json")}), "the file cannot be read");
}

TEST_F(DeepSpeedJson, OldNames) {
  EXPECT_EQ(parse({"config", "--deepspeed"}).run.zero.stage, 2);
  EXPECT_EQ(complaint({"config", "--deepspeed", "--zero_stage", "2"}), "");
  EXPECT_CONTAINS(complaint({"config", "--deepspeed", "--zero_stage", "1"}), "leave --deepspeed out");
  const std::string file = directory_.write("one.json", R"({"zero_optimization": {"stage": 1}})");
  EXPECT_EQ(parse({"config", "--deepspeed", "--deepspeed_config", file}).run.zero.stage, 1);
  EXPECT_EQ(parse({"config", "--deepspeed_config", file}).run.zero.config_file, file);
}

TEST_F(DeepSpeedJson, TheEffectiveOneReadsBackAsTheSameRun) {
  const std::vector<std::string> words{"config", "--zero_stage",   "2",    "--batch_size", "16", "--accum_iter",
                                       "4",      "--lr",           "1e-4", "--clip_grad",  "1",  "--dtype",
                                       "bf16",   "--weight_decay", "0"};
  const Command first = parse(words);
  const std::string text = effective_deepspeed_json(first.run, 8);
  EXPECT_EQ(json::parse(text)["train_batch_size"], 16 * 4 * 8);
  EXPECT_EQ(json::parse(text)["bf16"]["enabled"], true);
  const Command second = parse(with_json(directory_, text));
  EXPECT_EQ(effective_deepspeed_json(second.run, 8), text);
  json before = settings_of(first);
  json after = settings_of(second);
  before.erase("config");
  before.erase("train_batch_size");
  after.erase("config");
  after.erase("train_batch_size");
  EXPECT_EQ(before, after);
}

TEST_F(DeepSpeedJson, TheEffectiveOneOfDefaultsStaysOpen) {
  const json text = json::parse(effective_deepspeed_json(parse({"config"}).run, std::nullopt));
  EXPECT_EQ(text["train_batch_size"], "auto");
  EXPECT_EQ(text["bf16"]["enabled"], "auto");
  EXPECT_EQ(text["optimizer"]["type"], "AdamW");
  EXPECT_EQ(text["optimizer"]["params"]["betas"], json({0.9, 0.95}));
  EXPECT_EQ(text["gradient_clipping"], 0.0);
}

TEST(Configs, EachParsesAndReadsBack) {
  const std::filesystem::path directory =
      std::filesystem::path(TESSERA_TEST_DATA).parent_path().parent_path() / "configs";
  const std::map<std::string, int> stages{{"ddp.json", 0},   {"quickstart.json", 2},     {"zero1.json", 1},
                                          {"zero2.json", 2}, {"zero2_linprobe.json", 2}, {"zero2_offload.json", 2}};
  std::size_t num_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    ++num_files;
    Command command = parse({"config", "--config", entry.path().string()});
    EXPECT_EQ(command.run.zero.stage, stages.at(entry.path().filename().string())) << entry.path();
    EXPECT_NO_THROW(validate_world(command.run, 4));
    const TemporaryDirectory temporary;
    const std::string effective = effective_deepspeed_json(command.run, 4);
    EXPECT_EQ(effective_deepspeed_json(parse(with_json(temporary, effective)).run, 4), effective) << entry.path();
  }
  EXPECT_EQ(num_files, stages.size());
}

}  // namespace
}  // namespace tessera::config
