#include "kernels/checks.hpp"
#include "tessera/core/error.hpp"
#include "tessera/kernels/cross_entropy.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/log_softmax.h>

// Shapes: B images, C classes.

namespace tessera::kernels::reference {
namespace {

void check_arguments(const at::Tensor& logits_BC, const at::Tensor& labels_B) {
  Check("cross_entropy", "logits", logits_BC).has_type(at::kFloat).has_dim(2);
  Check("cross_entropy", "labels", labels_B)
      .has_type(at::kLong)
      .has_shape({logits_BC.size(0)})
      .is_on(logits_BC.device());
  core::require(logits_BC.size(0) > 0 && logits_BC.size(1) > 0, "kernels", "cross_entropy: {} images and {} classes",
                logits_BC.size(0), logits_BC.size(1));
}

}  // namespace

CrossEntropyResult cross_entropy(const at::Tensor& logits_BC, const Targets& targets, double smoothing) {
  check_arguments(logits_BC, targets.labels_B);
  core::require(smoothing >= 0 && smoothing < 1, "kernels", "cross_entropy: smoothing is {}; it must be in [0, 1)",
                smoothing);
  const bool mixed = targets.other_labels_B.defined();
  if (mixed) {
    check_arguments(logits_BC, targets.other_labels_B);
    Check("cross_entropy", "shares", targets.shares_B)
        .has_type(at::kFloat)
        .has_shape({logits_BC.size(0)})
        .is_on(logits_BC.device());
  }
  const auto num_images = static_cast<double>(logits_BC.size(0));
  const auto num_classes = static_cast<double>(logits_BC.size(1));
  const at::Tensor log_probability_BC = at::log_softmax(logits_BC, 1);
  at::Tensor loss_B = -smoothing * log_probability_BC.mean(1);
  // d loss / d logits = p - target, where the target is 1 - smoothing at the label, or divided between two labels, plus
  // smoothing / C everywhere
  at::Tensor dlogits_BC = log_probability_BC.exp() - smoothing / num_classes;
  const auto add_label = [&](const at::Tensor& labels_B, const at::Tensor& target_B) {
    const at::Tensor labels_B1 = labels_B.unsqueeze(1);
    loss_B -= target_B * log_probability_BC.gather(1, labels_B1).squeeze(1);
    dlogits_BC.scatter_add_(1, labels_B1, -target_B.unsqueeze(1));
  };
  if (mixed) {
    add_label(targets.labels_B, (1 - smoothing) * targets.shares_B);
    add_label(targets.other_labels_B, (1 - smoothing) * (1 - targets.shares_B));
  } else {
    add_label(targets.labels_B, at::full_like(loss_B, 1 - smoothing));
  }
  dlogits_BC.div_(num_images);
  return {loss_B, dlogits_BC};
}

at::Tensor label_rank(const at::Tensor& logits_BC, const at::Tensor& labels_B) {
  check_arguments(logits_BC, labels_B);
  const at::Tensor labels_B1 = labels_B.unsqueeze(1);
  const at::Tensor own_B1 = logits_BC.gather(1, labels_B1);
  const at::Tensor classes_C = at::arange(logits_BC.size(1), labels_B.options());
  // Counted are the classes that the label does not beat, so that a NaN, which beats nothing, is never a hit.
  const at::Tensor beaten_BC = (own_B1 > logits_BC) | ((own_B1 == logits_BC) & (labels_B1 <= classes_C));
  return beaten_BC.logical_not().sum(1).masked_fill(own_B1.squeeze(1).isnan(), kNoRank);
}

}  // namespace tessera::kernels::reference
