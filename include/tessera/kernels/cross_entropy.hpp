#pragma once

#include <ATen/core/Tensor.h>

// Shapes: B images, C classes.

namespace tessera::kernels {

struct CrossEntropyResult {
  at::Tensor loss_B;      ///< fp32
  at::Tensor dlogits_BC;  ///< fp32, of the mean over the B images
};

/// (1 - smoothing) * NLL + smoothing * mean over classes of -log p (Szegedy et al. 2016, as timm's
/// LabelSmoothingCrossEntropy). logits_BC is fp32, labels_B int64 in [0, C).
using CrossEntropy = CrossEntropyResult(const at::Tensor& logits_BC, const at::Tensor& labels_B, double smoothing);

struct TopKCounts {
  at::Tensor top1;  ///< int64 scalar: images whose label has the greatest logit (ties: lower class wins)
  at::Tensor top5;  ///< int64 scalar: images whose label is among the 5 greatest (all of them, where C < 5)
};
using CountTopK = TopKCounts(const at::Tensor& logits_BC, const at::Tensor& labels_B);

namespace reference {
CrossEntropy cross_entropy;
CountTopK count_top_k;
}  // namespace reference

}  // namespace tessera::kernels
