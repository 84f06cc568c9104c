#pragma once

#include "data/augment.hpp"
#include "tessera/config/augment_config.hpp"
#include "tessera/kernels/image_boxes.hpp"

#include <cstdint>
#include <vector>

namespace tessera::data {

/// Appends what is erased of one image of side x side pixels, the `image`-th of its batch: rectangles distributed as in
/// timm's RandomErasing (Zhong et al. 2017), one after the other.
void append_erased_boxes(const config::AugmentConfig& augment, std::int32_t side, std::int32_t image,
                         const SampleKey& key, std::vector<kernels::ErasedBox>& boxes);

}  // namespace tessera::data
