#pragma once

#include "tessera/data/dataset.hpp"
#include "tessera/data/loader.hpp"
#include "tessera/model/linear_probe.hpp"
#include "train/platform.hpp"

#include <ATen/core/Tensor.h>

namespace tessera::train {

/// The features of every image of a data set, prepared as for evaluation: rows_ND by index, whole on every rank, in the
/// compute dtype. Each rank runs the backbone on its part. Collective over the run.
at::Tensor compute_features(const model::LinearProbe::Backbone& backbone, const data::Dataset& dataset,
                            const data::LoaderSpec& spec, const Platform& platform);

}  // namespace tessera::train
