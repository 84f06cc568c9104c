// Figures of an evaluation, by hand and against the definition, and the texts that tell them.
#include "tessera/core/error.hpp"
#include "tessera/report/evaluation.hpp"
#include "tessera/report/evaluation_text.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace tessera::report {
namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Labels 0 0 0 1 1; the last image's logits are no numbers.
std::vector<ImageOutcome> five_images() {
  return {{0, 0, 0, 0, 0.9F, 0.1F},
          {1, 0, 1, 1, 0.6F, 0.9F},
          {2, 0, 2, 6, 0.55F, 2.0F},
          {3, 1, 1, 0, 1.0F, 0.0F},
          {4, 1, -1, std::numeric_limits<std::int32_t>::max(), std::nanf(""), std::nanf("")}};
}
const std::vector<std::string> kNames{"cat", "a \"dog\", small", "fish"};

TEST(Evaluation, CountsByHand) {
  std::vector<ImageOutcome> outcomes = five_images();
  outcomes.back().loss = 3.0F;
  const Evaluation evaluation = summarize(outcomes, kNames);
  EXPECT_EQ(evaluation.num_images, 5);
  EXPECT_EQ(evaluation.num_without_prediction, 1);
  EXPECT_DOUBLE_EQ(evaluation.acc1, 40);
  EXPECT_DOUBLE_EQ(evaluation.acc5, 60);
  EXPECT_NEAR(evaluation.loss, (0.1 + 0.9 + 2.0 + 0.0 + 3.0) / 5, 1e-7);
  ASSERT_EQ(evaluation.classes.size(), 3U);
  EXPECT_EQ(evaluation.classes[0].images, 3);
  EXPECT_DOUBLE_EQ(evaluation.classes[0].acc1(), 100.0 / 3);
  EXPECT_DOUBLE_EQ(evaluation.classes[0].acc5(), 200.0 / 3);
  EXPECT_DOUBLE_EQ(evaluation.classes[0].precision(), 100);
  EXPECT_DOUBLE_EQ(evaluation.classes[1].acc1(), 50);
  EXPECT_DOUBLE_EQ(evaluation.classes[1].precision(), 50);
  EXPECT_TRUE(std::isnan(evaluation.classes[2].acc1())) << "no image has this label";
  EXPECT_DOUBLE_EQ(evaluation.classes[2].precision(), 0);
  EXPECT_EQ(worst_classes(evaluation, 9), (std::vector<std::int32_t>{0, 1}));
  const std::vector<ConfusionCell> confusions = largest_confusions(evaluation, 9);
  ASSERT_EQ(confusions.size(), 2U);
  EXPECT_EQ(confusions[0].prediction, 1);
  EXPECT_EQ(confusions[1].prediction, 2);
}

// Guo et al. 2017, equations 3 to 5, as written: for each bin, the images in it.
double calibration_error_by_definition(const std::vector<ImageOutcome>& outcomes, int num_bins) {
  double error = 0;
  for (int m = 1; m <= num_bins; ++m) {
    double images = 0;
    double hits = 0;
    double confidence = 0;
    for (const ImageOutcome& outcome : outcomes) {
      const double scaled = static_cast<double>(outcome.confidence) * num_bins;
      if (scaled > m - 1 && scaled <= m) {
        ++images;
        hits += outcome.prediction == outcome.label ? 1 : 0;
        confidence += outcome.confidence;
      }
    }
    if (images > 0) {
      error += images / static_cast<double>(outcomes.size()) * std::abs(hits / images - confidence / images);
    }
  }
  return error;
}

TEST(Evaluation, CalibrationErrorIsAsDefined) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> confidence(0.05F, 1.0F);
  std::vector<ImageOutcome> outcomes;
  for (std::int64_t i = 0; i < 3000; ++i) {
    const float p = i < 15 ? static_cast<float>(i + 1) / 15.0F : confidence(random);  // edges of the bins among them
    const bool hit = confidence(random) < p * p;
    outcomes.push_back({i, 1, hit ? 1 : 0, hit ? 0 : 1, p, 0});
  }
  const Evaluation evaluation = summarize(outcomes, {"0", "1"});
  EXPECT_NEAR(evaluation.ece, calibration_error_by_definition(outcomes, 15), 1e-12);
  EXPECT_GT(evaluation.ece, 0.1) << "p squared is less than p: overconfident";
  std::int64_t images = 0;
  for (const CalibrationBin& bin : evaluation.bins) {
    images += bin.images;
  }
  EXPECT_EQ(images, 3000);
  EXPECT_EQ(evaluation.bins.size(), 15U);
}

TEST(Evaluation, EachImageIsThereOnce) {
  std::vector<ImageOutcome> outcomes = five_images();
  outcomes[2].index = 1;
  EXPECT_THROW(summarize(outcomes, kNames), core::Error);
  outcomes = five_images();
  outcomes.erase(outcomes.begin());
  EXPECT_THROW(summarize(outcomes, kNames), core::Error);
}

TEST(EvaluationText, JsonHoldsEverything) {
  const auto json = nlohmann::json::parse(to_json_line(summarize(five_images(), kNames)));
  EXPECT_EQ(json["test_acc1"], 40.0);
  EXPECT_EQ(json["num_images"], 5);
  EXPECT_TRUE(json["test_loss"].is_null()) << "a loss that is no number";
  EXPECT_EQ(json["classes"][1]["name"], kNames[1]);
  EXPECT_TRUE(json["classes"][2]["acc1"].is_null());
  EXPECT_EQ(json["calibration"].size(), 15U);
  EXPECT_EQ(json["calibration"][14]["images"], 1) << "1.0 belongs to the last bin";
  EXPECT_EQ(json["confusion"].dump(), "[[0,0,1],[0,1,1],[0,2,1],[1,1,1]]");
}

TEST(EvaluationText, CsvHasOneFigureALine) {
  const std::string csv = to_csv(summarize(five_images(), kNames));
  EXPECT_TRUE(csv.starts_with("metric,class,prediction,bin,value\nimages,,,,5\n")) << csv;
  EXPECT_TRUE(contains(csv, "\nacc1,,,,40\n")) << csv;
  EXPECT_TRUE(contains(csv, "\nloss,,,,\n")) << "what is no number is left empty: " << csv;
  EXPECT_TRUE(contains(csv, "\nacc1,\"a \"\"dog\"\", small\",,,50\n")) << csv;
  EXPECT_TRUE(contains(csv, "\nconfusion,cat,fish,,1\n")) << csv;
  EXPECT_TRUE(contains(csv, "\nimages,,,14,1\n")) << csv;
}

TEST(EvaluationText, TableOfFewClassesHasTheMatrix) {
  const std::string table = to_table(summarize(five_images(), kNames));
  EXPECT_TRUE(contains(table, "acc1 40.00%  acc5 60.00%")) << table;
  EXPECT_TRUE(contains(table, "5 images (1 without a prediction")) << table;
  EXPECT_TRUE(contains(table, "  0 cat                  3  33.33%  66.67%    100.00%  1 a \"dog\", small (1)\n"))
      << table;
  EXPECT_TRUE(contains(table, "  0 cat               1  1  1\n")) << table;
  EXPECT_TRUE(contains(table, "  2 fish              .  .  .")) << table;
  EXPECT_NE(table.back(), '\n');
}

TEST(EvaluationText, TableOfManyClassesHasTheWorst) {
  std::vector<ImageOutcome> outcomes;
  std::vector<std::string> names;
  for (std::int32_t i = 0; i < 200; ++i) {
    const std::int32_t label = i / 2;
    const bool hit = label != 57 && (label != 3 || i % 2 == 0);
    outcomes.push_back({i, label, hit ? label : 4, hit ? 0 : 1, 0.5F, 1.0F});
    if (i % 2 == 0) {
      names.push_back("name" + std::to_string(label));
    }
  }
  const std::string table = to_table(summarize(outcomes, names));
  EXPECT_TRUE(contains(table, "the 15 least accurate of 100 classes")) << table;
  EXPECT_LT(table.find("  57 name57"), table.find("  3 name3")) << table;
  EXPECT_TRUE(contains(table, "  57 name57  4 name4         2\n")) << table;
  EXPECT_LT(std::ranges::count(table, '\n'), 35);
}

TEST(EvaluationText, PredictionsByTheNamesEnding) {
  const std::vector<std::string> images{"a.jpg", "b,c.jpg", "d.jpg", "e.jpg", "f.jpg"};
  EXPECT_EQ(predictions_text("p.csv", five_images(), {}),
            "index,label,prediction,confidence\n0,0,0,0.9\n1,0,1,0.6\n2,0,2,0.55\n3,1,1,1\n4,1,-1,\n");
  EXPECT_TRUE(contains(predictions_text("p.csv", five_images(), images), "confidence,image\n0,0,0,0.9,a.jpg\n"));
  EXPECT_TRUE(contains(predictions_text("p.csv", five_images(), images), "\n1,0,1,0.6,\"b,c.jpg\"\n"));
  const std::string lines = predictions_text("p.jsonl", five_images(), images);
  EXPECT_TRUE(lines.starts_with("{\"index\":0,\"label\":0,\"prediction\":0,\"confidence\":0.9,\"image\":\"a.jpg\"}\n"))
      << lines;
  EXPECT_TRUE(contains(lines, "\"prediction\":-1,\"confidence\":null,")) << lines;
}

}  // namespace
}  // namespace tessera::report
