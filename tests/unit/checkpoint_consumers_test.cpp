// Programs that know nothing of ours read our files.
#include "checkpoint/limits.hpp"
#include "support/sample_state.hpp"
#include "support/scratch.hpp"
#include "tessera/checkpoint/save.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <string>

namespace tessera::checkpoint {
namespace {

class StateFile : public testing::Test {
 protected:
  StateFile() {
    const test::SampleState state(0, 1, {});
    SaveRequest request;
    request.run_dir = scratch_.path();
    request.name = "1";
    request.state = state.description();
    request.run = test::sample_run(17);
    path_ = save(request).path + "/state.h5";
  }

  static bool missing(const std::string& command) { return test::run_command(command).status != 0; }

  // The element as a data set of type bf16 holds it.
  static std::string rounded(const std::string& parameter, std::int64_t element) {
    const float value =
        test::sample_value({parameter, state::Component::kWeight, core::DType::kBFloat16, {}}, element, 0);
    return fmt::format("{:.6g}", core::bf16_to_float(core::float_to_bf16(value)));
  }

  test::ScratchDirectory scratch_;
  std::string path_;
};

TEST_F(StateFile, IsListedByH5ls) {
  if (missing("h5ls --version")) {
    GTEST_SKIP() << "h5ls is not installed (hdf5-tools)";
  }
  const auto result = test::run_command("h5ls -r " + path_);
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_NE(result.output.find("/parameters/qwen.layers.0.self_attn.q_proj.weight/master Dataset {24, 17}"),
            std::string::npos)
      << result.output;
  EXPECT_NE(result.output.find("/parameters/patch_embed.proj.weight/exp_avg_sq Dataset {7, 3, 4, 5}"),
            std::string::npos);
  EXPECT_NE(result.output.find("/run/model_config_json   Dataset {SCALAR}"), std::string::npos) << result.output;
}

TEST_F(StateFile, IsPrintedAsNumbersByH5dump) {
  if (missing("h5dump --version")) {
    GTEST_SKIP() << "h5dump is not installed (hdf5-tools)";
  }
  const auto weights = test::run_command("h5dump -w 200 -d /parameters/classifier.bias/weight " + path_);
  EXPECT_EQ(weights.status, 0) << weights.output;
  const std::string first = fmt::format("(0): {}, {}, {},", rounded("classifier.bias", 0),
                                        rounded("classifier.bias", 1), rounded("classifier.bias", 2));
  EXPECT_NE(weights.output.find(first), std::string::npos) << first << " is not in\n" << weights.output;
  const auto run = test::run_command("h5dump -A -g /run " + path_);
  EXPECT_NE(run.output.find("ATTRIBUTE \"global_step\""), std::string::npos) << run.output;
  EXPECT_NE(run.output.find("(0): 17"), std::string::npos);
  const auto text = test::run_command("h5dump -d /run/dataset " + path_);
  EXPECT_NE(text.output.find("(0): \"fashion-mnist\""), std::string::npos) << text.output;
}

TEST_F(StateFile, IsReadByH5py) {
  if (!test::python_has("h5py")) {
    GTEST_SKIP() << "python3 has no module named h5py (pip install h5py)";
  }
  const auto result = test::run_command(test::python() + " " TESSERA_TEST_PYTHON "/read_state_file.py " + path_);
  EXPECT_EQ(result.status, 0) << result.output;
  for (const std::string& line :
       {fmt::format("format tessera-checkpoint {}", kFormatVersion), std::string("run seed 18364758544493064720"),
        std::string("run best_accuracy 0.3333333333333333"), std::string("run dataset fashion-mnist"),
        fmt::format("classifier.bias weight (10,) f {} {} ", rounded("classifier.bias", 0),
                    rounded("classifier.bias", 1)),
        fmt::format("classifier.weight weight (10, 17) f {} ", rounded("classifier.weight", 0))}) {
    EXPECT_NE(result.output.find(line), std::string::npos) << line << " is not in\n" << result.output;
  }
}

}  // namespace
}  // namespace tessera::checkpoint
