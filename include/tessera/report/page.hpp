#pragma once

#include "tessera/report/run.hpp"
#include "tessera/report/saved_evaluation.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::report {

/// A test image that was taken for another class than its own.
struct Example {
  std::int64_t index = 0;  ///< in the data set
  std::int32_t prediction = 0;
  double confidence = 0;
  std::string png;  ///< the bytes of a PNG file
};

/// A class of low accuracy.
struct WorstClass {
  std::int32_t label = 0;
  std::vector<Example> examples;  ///< the surest first
};

/// What a page shows of one run.
struct PageRun {
  RunRecord record;
  SavedEvaluation saved;
  std::vector<WorstClass> worst;  ///< the least accurate first
  std::string note_on_examples;   ///< why there are none; empty where there are
};

/// The runs as one JSON document: curves that are thinned for drawing, figures, settings and how they differ, memory,
/// parts of a step, evaluations, checkpoints. src/report/page/ draws it.
std::string page_data(const std::vector<PageRun>& runs);

/// One HTML file with no outside parts that shows `data`, a JSON document of page_data().
std::string to_page(const std::string& data);

}  // namespace tessera::report
