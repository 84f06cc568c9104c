// `tessera report` on real runs, opened in a real browser.
#include "support/small_run.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>

namespace tessera::test {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

class ReportTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchDirectory;
    write_small_dataset(file("data"), 200, 50);
    ASSERT_EQ(finetune(1, file("data"), file("ddp"), "--epochs 2 --batch_size 20").status, 0);
    ASSERT_EQ(finetune(2, file("data"), file("zero2"), "--epochs 3 --batch_size 10 --zero_stage 2").status, 0);
  }
  static void TearDownTestSuite() { delete scratch_; }

  [[nodiscard]] static std::string file(const std::string& name) { return scratch_->file(name); }

  static Json data_of(const std::string& page) {
    const std::string start = R"(<script type="application/json" id="data">)";
    const std::size_t begin = page.find(start) + start.size();
    return Json::parse(page.substr(begin, page.find("</script>", begin) - begin));
  }

  static inline ScratchDirectory* scratch_ = nullptr;
};

TEST_F(ReportTest, HoldsTheRunsAndTheirMistakes) {
  const std::string path = file("two.html");
  const CommandResult result = tessera("report " + file("ddp") + " " + file("zero2") + " --output " + path);
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_EQ(result.output, path + "\n");
  const Json data = data_of(read_file(path));
  ASSERT_EQ(data["runs"].size(), 2U);
  const Json& run = data["runs"][1];
  EXPECT_EQ(run["figures"]["steps"], 30);
  EXPECT_EQ(run["epochs"].size(), 3U);
  EXPECT_EQ(run["checkpoints"][0]["name"], "checkpoint-final");
  EXPECT_EQ(run["checkpoints"][0]["kept"], true);
  EXPECT_EQ(run["plan"]["device"], "cpu");
  EXPECT_GT(run["plan"]["items"][0]["bytes"].get<std::int64_t>(), 0);
  EXPECT_EQ(std::to_string(run["evaluation"]["acc1"].get<double>()),
            std::to_string(std::stod(column(file("zero2/log.txt"), "test_acc1").back())));
  ASSERT_FALSE(run["evaluation"]["worst"].empty()) << "three epochs teach it little";
  EXPECT_EQ(run["evaluation"]["note_on_examples"], "");
  const Json& example = run["evaluation"]["worst"][0]["examples"][0];
  EXPECT_TRUE(example["src"].get<std::string>().starts_with("data:image/png;base64,iVBORw0KGgo"));
  EXPECT_EQ((200 + example["index"].get<int>()) % 10, run["evaluation"]["worst"][0]["label"])
      << "the label that write_small_dataset gives";
}

TEST_F(ReportTest, WithoutTheDataItSaysSo) {
  fs::copy(file("ddp"), file("moved"), fs::copy_options::recursive);
  std::string args = read_file(file("moved/args.json"));
  const std::string path = "\"data_path\": \"" + file("data");
  args.insert(args.find(path) + path.size(), "-gone");
  write_file(file("moved/args.json"), args);
  const CommandResult result = tessera("report " + file("moved"));
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_NE(result.output.find("moved/report.html\n"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("no example images"), std::string::npos) << result.output;
  const Json evaluation = data_of(read_file(file("moved/report.html")))["runs"][0]["evaluation"];
  EXPECT_NE(evaluation["note_on_examples"].get<std::string>().find("data-gone"), std::string::npos) << result.output;
  EXPECT_TRUE(evaluation["worst"][0]["examples"].empty());
}

TEST_F(ReportTest, RefusesWhatIsNoRun) {
  const auto refused = [](const std::string& arguments, const std::string& words) {
    const CommandResult result = tessera("report " + arguments);
    EXPECT_EQ(result.status, 2) << result.output;
    EXPECT_NE(result.output.find(words), std::string::npos) << result.output;
  };
  refused("", "0 were given");
  refused(file("absent"), "absent: there is no such directory");
  refused(file("data"), "it has neither steps.jsonl nor log.txt");
  refused(file("ddp") + " --output report.pdf", "must end in .html");
  refused(file("ddp") + " --output " + file("data/train-images-idx3-ubyte/r.html"), "cannot be written");
  refused(file("ddp") + " --json", "--json is not a flag of 'tessera report'");
  fs::copy(file("ddp"), file("torn"), fs::copy_options::recursive);
  write_file(file("torn/evaluation.json"), "{");
  refused(file("torn"), "evaluation.json is not what 'tessera eval' prints");
}

// The page marks itself when it is drawn, and when a script of it fails.
TEST_F(ReportTest, ABrowserDrawsIt) {
  if (run_command("chromium --version").status != 0) {
    GTEST_SKIP() << "chromium is not here";
  }
  for (const std::string& runs : {file("ddp"), file("ddp") + " " + file("zero2")}) {
    const std::string path = file("page.html");
    ASSERT_EQ(tessera("report " + runs + " --output " + path).status, 0);
    const CommandResult drawn = run_command(
        "(timeout -k 5 60 chromium --headless --no-sandbox --disable-gpu --user-data-dir=" + file("profile") +
        " --virtual-time-budget=2000 --dump-dom file://" + path + " 2>" + file("browser.log") + ")");
    ASSERT_EQ(drawn.status, 0) << read_file(file("browser.log"));
    EXPECT_EQ(drawn.output.find("data-script-error"), std::string::npos) << drawn.output.substr(0, 500);
    EXPECT_NE(drawn.output.find("data-drawn=\"yes\""), std::string::npos) << drawn.output.substr(0, 500);
    EXPECT_NE(drawn.output.find("class=\"curve"), std::string::npos) << "curves have paths";
    EXPECT_NE(drawn.output.find("class=\"miss\""), std::string::npos) << "the matrix has cells";
    EXPECT_NE(drawn.output.find("src=\"data:image/png"), std::string::npos) << "classes have images";
  }
}

}  // namespace
}  // namespace tessera::test
