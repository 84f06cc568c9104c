#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tessera::report {

/// What the model made of one image.
struct ImageOutcome {
  std::int64_t index = 0;  ///< in the data set
  std::int32_t label = 0;
  std::int32_t prediction = 0;  ///< the class of the greatest logit; -1 where the logits are not finite
  std::int32_t label_rank = 0;  ///< classes that the model prefers to the label
  float confidence = 0;         ///< softmax's probability of the prediction
  float loss = 0;               ///< plain cross-entropy
};

struct ClassResult {
  std::string name;
  std::int64_t images = 0;  ///< with this label
  std::int64_t hits1 = 0;   ///< of these, predicted to have it
  std::int64_t hits5 = 0;   ///< of these, with it among the five most likely
  std::int64_t predicted = 0;

  [[nodiscard]] double acc1() const;  ///< percent, as all below; NaN where there is no image
  [[nodiscard]] double acc5() const;
  [[nodiscard]] double precision() const;  ///< NaN where it was never predicted
};

/// Images whose confidence lies in one interval of equal width.
struct CalibrationBin {
  std::int64_t images = 0;
  std::int64_t hits = 0;
  double confidence_sum = 0;

  [[nodiscard]] double accuracy() const;    ///< of 1; NaN where there is no image
  [[nodiscard]] double confidence() const;  ///< the mean; NaN where there is no image
};

/// Images of `label` that were taken for `prediction`.
struct ConfusionCell {
  std::int32_t label = 0;
  std::int32_t prediction = 0;
  std::int64_t images = 0;
};

/// What an evaluation found: every image of a data set once.
struct Evaluation {
  double loss = 0;  ///< plain cross-entropy, mean over the images
  double acc1 = 0;  ///< percent
  double acc5 = 0;
  double ece = 0;  ///< expected calibration error, of 1
  std::int64_t num_images = 0;
  std::int64_t num_without_prediction = 0;  ///< images whose logits were not finite: hits of no class
  std::vector<ClassResult> classes;
  std::vector<CalibrationBin> bins;      ///< kCalibrationBins, from confidence 0 to 1
  std::vector<ConfusionCell> confusion;  ///< where there is an image, ordered by label and prediction
  double seconds = 0;
};

/// As Guo et al. 2017, "On Calibration of Modern Neural Networks": bin m of M has the confidences in ((m-1)/M, m/M],
/// and ECE = sum over the bins of images / all images x |accuracy - mean confidence|.
constexpr std::int64_t kCalibrationBins = 15;

/// The figures of `outcomes`, which are ordered by index. All sums are taken in that order, so that they do not depend
/// on which rank saw which image. Throws core::Error unless every image from 0 on is there once.
Evaluation summarize(const std::vector<ImageOutcome>& outcomes, const std::vector<std::string>& class_names);

/// The confusions of two classes that occur most, at most `count`.
std::vector<ConfusionCell> largest_confusions(const Evaluation& evaluation, std::size_t count);

/// Indices of the classes with images, the least accurate first (at equal accuracy the lower index), at most `count`.
std::vector<std::int32_t> worst_classes(const Evaluation& evaluation, std::size_t count);

}  // namespace tessera::report
