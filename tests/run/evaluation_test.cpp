// `tessera eval` as users start it: the same figures from any number of ranks, and files that agree with each other.
#include "support/small_run.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

namespace tessera::test {
namespace {

using Json = nlohmann::json;

std::vector<std::vector<std::string>> rows_of(const std::string& csv) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(csv);
  for (std::string line; std::getline(lines, line);) {
    std::vector<std::string> row;
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, ',');) {
      row.push_back(cell);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

// 53 test images: no number of ranks divides them.
class EvaluationTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchDirectory;
    write_small_dataset(file("data"), 200, 53);
    const CommandResult trained = finetune(2, file("data"), file("run"), "--zero_stage 2 --epochs 12 --batch_size 10");
    ASSERT_EQ(trained.status, 0) << trained.output;
  }
  static void TearDownTestSuite() { delete scratch_; }

  [[nodiscard]] static std::string file(const std::string& name) { return scratch_->file(name); }

  static CommandResult evaluate(int ranks, const std::string& flags) {
    const std::string launcher =
        ranks == 1 ? "" : std::string(TESSERA_MPIEXEC) + " --oversubscribe -n " + std::to_string(ranks) + " ";
    return run_command("(timeout -k 5 60 " + launcher + TESSERA_BIN + " eval --device cpu --data_path " + file("data") +
                       " --checkpoint " + file("run/checkpoint-final") + " " + flags + ")");
  }

  static inline ScratchDirectory* scratch_ = nullptr;
};

TEST_F(EvaluationTest, AnyNumberOfRanksGivesTheSame) {
  std::string first;
  for (const int ranks : {1, 2, 3}) {
    const std::string name = file("p" + std::to_string(ranks));
    // Images one by one: how a matrix product rounds may depend on how many there are in a batch.
    const CommandResult result = evaluate(
        ranks, "--quiet --batch_size 1 --predictions " + name + ".csv --csv " + name + ".figures >" + name + ".json");
    ASSERT_EQ(result.status, 0) << result.output;
    const std::string all = read_file(name + ".csv") + read_file(name + ".figures") + read_file(name + ".json");
    EXPECT_TRUE(first.empty() || all == first) << ranks << " ranks";
    first = all;
  }
  ASSERT_EQ(evaluate(4, "--quiet --batch_size 5 >" + file("p4.json")).status, 0);
  const Json alone = Json::parse(read_file(file("p1.json")));
  const Json batches = Json::parse(read_file(file("p4.json")));
  for (const char* const key : {"num_images", "test_acc1", "test_acc5", "classes", "confusion"}) {
    EXPECT_EQ(batches[key], alone[key]) << key;
  }
  EXPECT_NEAR(batches["test_loss"].get<double>(), alone["test_loss"].get<double>(), 1e-5);
}

TEST_F(EvaluationTest, TheFilesAgree) {
  const CommandResult result =
      evaluate(2, "--predictions " + file("p.csv") + " --csv " + file("f.csv") + " >" + file("f.json"));
  ASSERT_EQ(result.status, 0) << result.output;
  const Json json = Json::parse(read_file(file("f.json")));
  EXPECT_NE(result.output.find("label \\ prediction"), std::string::npos) << "a table for people: " << result.output;
  EXPECT_EQ(result.output.find('{'), std::string::npos) << "and nothing else for them: " << result.output;
  std::vector<std::vector<std::string>> rows = rows_of(read_file(file("p.csv")));
  ASSERT_EQ(rows.size(), 54U);
  rows.erase(rows.begin());
  int hits = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i][0], std::to_string(i));
    EXPECT_EQ(rows[i][1], std::to_string((200 + i) % 10)) << "the label that write_small_dataset gives";
    EXPECT_GT(std::stod(rows[i][3]), 0.1) << "the greatest of ten probabilities";
    hits += rows[i][1] == rows[i][2] ? 1 : 0;
  }
  EXPECT_GT(hits, 10) << "it learnt something";
  EXPECT_EQ(json["test_acc1"].get<double>(), 100.0 * hits / 53);
  EXPECT_EQ(json["num_images"], 53);
  EXPECT_EQ(json["test_acc1"].get<double>(), std::stod(column(file("run/log.txt"), "test_acc1").back()));
  EXPECT_NEAR(json["test_loss"].get<double>(), std::stod(column(file("run/log.txt"), "test_loss").back()), 1e-5);
  std::int64_t in_matrix = 0;
  for (const Json& cell : json["confusion"]) {
    in_matrix += cell[2].get<std::int64_t>();
  }
  EXPECT_EQ(in_matrix, 53);
  EXPECT_NE(read_file(file("f.csv")).find("\nimages,2,,,6\n"), std::string::npos);
}

TEST_F(EvaluationTest, ImageFoldersTellNamesOfClassesAndFiles) {
  for (const std::string part : {"train", "val"}) {
    for (const std::string name : {"cat", "dog"}) {
      std::filesystem::create_directories(file("folder/" + part + "/" + name));
      std::filesystem::copy(std::string(TESSERA_TEST_DATA) + "/images/color_420.jpg",
                            file("folder/" + part + "/" + name + "/" + name + "1.jpg"));
    }
  }
  const std::string flags = " --device cpu --dataset imagefolder --data_path " + file("folder") + " --num_workers 1 ";
  const CommandResult trained =
      tessera("finetune" + flags + "--model_config " + file("data") +
              "/model.json --input_size 28 --patch_size 7 --batch_size 2 --epochs 1 --warmup_epochs 0 --output_dir " +
              file("folder-run"));
  ASSERT_EQ(trained.status, 0) << trained.output;
  const CommandResult result = tessera("eval --quiet" + flags + "--checkpoint " + file("folder-run/checkpoint-final") +
                                       " --predictions " + file("folder.jsonl") + " >" + file("folder.json"));
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_EQ(Json::parse(read_file(file("folder.json")))["classes"][1]["name"], "dog");
  std::istringstream lines(read_file(file("folder.jsonl")));
  std::string line;
  std::getline(lines, line);
  EXPECT_NE(Json::parse(line)["image"].get<std::string>().find("val/cat/cat1.jpg"), std::string::npos) << line;
}

TEST_F(EvaluationTest, FilesThatCannotBeWrittenAreToldBeforeTheWork) {
  const auto refused = [](const std::string& flags, const std::string& words) {
    const CommandResult result = evaluate(1, flags);
    EXPECT_EQ(result.status, 2) << result.output;
    EXPECT_NE(result.output.find(words), std::string::npos) << result.output;
  };
  refused("--predictions " + file("p.txt"), "must end in .csv or .jsonl");
  refused("--csv " + file("data"), "is a directory");
  write_file(file("plain"), "");
  refused("--csv " + file("plain/f.csv"), "cannot be written");
  EXPECT_EQ(finetune(1, file("data"), "", "--csv x.csv").status, 2) << "a flag of eval alone";
}

}  // namespace
}  // namespace tessera::test
