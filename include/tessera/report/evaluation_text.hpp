#pragma once

#include "tessera/report/evaluation.hpp"

#include <string>
#include <vector>

namespace tessera::report {

/// For people: the figures of the whole, the classes (of many the worst), and the confusion matrix (of many classes the
/// confusions that occur most). No line break at the end.
std::string to_table(const Evaluation& evaluation);

/// One JSON object on one line: test_loss, test_acc1, test_acc5, num_images, then ece, images_without_prediction,
/// classes, calibration, and confusion as [label, prediction, images] where there are images.
std::string to_json_line(const Evaluation& evaluation);

/// One table of everything, one figure a line: metric,class,prediction,bin,value.
std::string to_csv(const Evaluation& evaluation);

/// index, label, prediction, confidence of every image, as CSV with a head line where `path` ends in .csv, else as JSON
/// lines. `image_names`, if any, says what image each index is: a fifth column.
std::string predictions_text(const std::string& path, const std::vector<ImageOutcome>& outcomes,
                             const std::vector<std::string>& image_names);

}  // namespace tessera::report
