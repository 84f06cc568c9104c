#pragma once

#include "tessera/report/page.hpp"

namespace tessera::train {

/// Fills in the least accurate classes of the run's newest evaluation, with pictures of test images that were mistaken
/// where the run's predictions and its data set are still there; else says in run.note_on_examples what is missing.
void add_worst_classes(report::PageRun& run);

}  // namespace tessera::train
