// `tessera compare` on real runs.
#include "support/small_run.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace tessera::test {
namespace {

using Json = nlohmann::json;

TEST(CompareTest, TellsWhatDiffersBetweenTwoRuns) {
  const ScratchDirectory scratch;
  const std::string data = scratch.file("data");
  write_small_dataset(data, 200, 50);
  const std::string a = scratch.file("a");
  const std::string b = scratch.file("b");
  const std::string c = scratch.file("c");
  ASSERT_EQ(finetune(1, data, a, "--epochs 2 --batch_size 20").status, 0);
  ASSERT_EQ(finetune(2, data, b, "--epochs 2 --batch_size 10 --zero_stage 2").status, 0);
  ASSERT_EQ(finetune(1, data, c, "--epochs 2 --batch_size 20 --seed 1").status, 0);

  CommandResult result = tessera("compare " + a + " " + b + " --json");
  ASSERT_EQ(result.status, 0) << result.output;
  Json json = Json::parse(result.output);
  EXPECT_EQ(json["settings"]["zero_stage"], (Json{"0", "2"}));
  EXPECT_EQ(json["settings"]["batch_size"], (Json{"20", "10"}));
  EXPECT_FALSE(json["settings"].contains("output_dir"));
  EXPECT_EQ(json["by_step"]["loss"]["points"], 20);
  EXPECT_TRUE(json["by_step"]["loss"]["part_at"].is_null()) << "ranks and stages change the order of sums alone";
  EXPECT_TRUE(json["by_step"]["lr"]["differ_from"].is_null());
  EXPECT_EQ(json["by_epoch"]["test_acc1"]["points"], 2);
  EXPECT_GT(json["whole"]["tokens_per_s"][1].get<double>(), 0);

  // Flags and runs in any order.
  const std::string picture = scratch.file("curves.svg");
  result = tessera("compare " + a + " --tolerance 1e-3 " + c + " --output " + picture);
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_NE(result.output.find("\n  seed     0  1\n"), std::string::npos) << result.output;
  EXPECT_NE(read_file(picture).find("Training loss"), std::string::npos);
  json = Json::parse(tessera("compare --json " + a + " " + c).output);
  EXPECT_EQ(json["by_step"]["loss"]["part_at"], 0) << "another seed has other weights";

  result = tessera("compare " + a + " " + a);
  EXPECT_NE(result.output.find("no setting differs"), std::string::npos) << result.output;
}

TEST(CompareTest, RefusesWhatItCannotCompare) {
  const ScratchDirectory scratch;
  const auto refused = [](const std::string& arguments, const std::string& words) {
    const CommandResult result = tessera("compare " + arguments);
    EXPECT_EQ(result.status, 2) << result.output;
    EXPECT_NE(result.output.find(words), std::string::npos) << result.output;
  };
  const std::string here = scratch.path();
  refused(here, "'tessera compare RUN RUN': 1 were given");
  refused(here + " " + here + " " + here, "3 were given");
  refused(here + " " + scratch.file("absent"), "absent: there is no such directory");
  refused(here + " " + here, "it has neither steps.jsonl nor log.txt");
  refused(here + " " + here + " --output curves.png", "must end in .svg");
  refused(here + " " + here + " --batch_size 3", "--batch_size is not a flag of 'tessera compare'");
}

}  // namespace
}  // namespace tessera::test
