#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>

// Shapes: B images, C classes.

namespace tessera::kernels {

/// What images are to be taken for: a label each or, where they were mixed, two and the share of the first.
struct Targets {
  at::Tensor labels_B;          ///< int64, in [0, C)
  at::Tensor other_labels_B{};  ///< the same; undefined: images have one label
  at::Tensor shares_B{};        ///< fp32, of labels_B; the other label has the rest. Undefined as other_labels_B is
};

struct CrossEntropyResult {
  at::Tensor loss_B;      ///< fp32
  at::Tensor dlogits_BC;  ///< fp32, of the mean over the B images
};

/// (1 - smoothing) * NLL + smoothing * mean over classes of -log p (Szegedy et al. 2016, as timm's
/// LabelSmoothingCrossEntropy), where NLL of two labels is share * NLL of the first + (1 - share) * NLL of the other
/// (as timm's SoftTargetCrossEntropy of its mixup_target). logits_BC is fp32.
using CrossEntropy = CrossEntropyResult(const at::Tensor& logits_BC, const Targets& targets, double smoothing);

/// rank_B, int64: how many classes have a greater logit than the label (among equal ones the lower class stands first),
/// so that a rank below k means a hit among the first k. Where the label's logit is no number, kNoRank.
constexpr std::int64_t kNoRank = std::numeric_limits<std::int32_t>::max();
using LabelRank = at::Tensor(const at::Tensor& logits_BC, const at::Tensor& labels_B);

namespace reference {
CrossEntropy cross_entropy;
LabelRank label_rank;
}  // namespace reference

}  // namespace tessera::kernels
