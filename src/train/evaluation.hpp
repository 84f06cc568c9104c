#pragma once

#include "tessera/data/dataset.hpp"
#include "tessera/data/loader.hpp"
#include "tessera/model/qwen3_classifier.hpp"
#include "train/platform.hpp"

#include <cstdint>

namespace tessera::train {

struct Evaluation {
  double loss = 0;  ///< plain cross-entropy, mean over the images
  double acc1 = 0;  ///< percent
  double acc5 = 0;
  std::int64_t num_images = 0;
  double seconds = 0;
};

/// Runs the whole data set through the model, each image once over the ranks. Collective over the run.
Evaluation evaluate_dataset(const model::Qwen3Classifier& model, model::Weights& weights, const data::Dataset& dataset,
                            const data::LoaderSpec& spec, const Platform& platform);

}  // namespace tessera::train
