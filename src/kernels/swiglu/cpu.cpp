#include "kernels/row_chunks.hpp"
#include "kernels/swiglu/arguments.hpp"
#include "kernels/swiglu/loops.hpp"
#include "tessera/kernels/swiglu.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

// Shapes: N rows, F features.

namespace tessera::kernels::cpu {

at::Tensor swiglu_forward(const at::Tensor& gate_up_N2F) {
  if (gate_up_N2F.scalar_type() != at::kFloat) {
    return reference::swiglu_forward(gate_up_N2F);
  }
  swiglu::check_forward(gate_up_N2F);
  const std::int64_t num_features = gate_up_N2F.size(1) / 2;
  const at::Tensor y_NF = at::empty({gate_up_N2F.size(0), num_features}, gate_up_N2F.options());
  const auto* const gate_up = gate_up_N2F.const_data_ptr<float>();
  auto* const y = y_NF.mutable_data_ptr<float>();
  RowChunks(gate_up_N2F.size(0)).for_each([&](std::int64_t, std::int64_t first, std::int64_t num_rows) {
    for (std::int64_t row = first; row < first + num_rows; ++row) {
      const float* const gate = gate_up + row * 2 * num_features;
      swiglu::forward_row(gate, gate + num_features, y + row * num_features, num_features);
    }
  });
  return y_NF;
}

void swiglu_backward(at::Tensor& dy_NF, at::Tensor& gate_up_N2F) {
  if (gate_up_N2F.scalar_type() != at::kFloat) {
    reference::swiglu_backward(dy_NF, gate_up_N2F);
    return;
  }
  swiglu::check_backward(dy_NF, gate_up_N2F);
  const std::int64_t num_features = dy_NF.size(1);
  auto* const dy = dy_NF.mutable_data_ptr<float>();
  auto* const gate_up = gate_up_N2F.mutable_data_ptr<float>();
  RowChunks(dy_NF.size(0)).for_each([&](std::int64_t, std::int64_t first, std::int64_t num_rows) {
    for (std::int64_t row = first; row < first + num_rows; ++row) {
      const std::int64_t packed = row * 2 * num_features;
      swiglu::backward_row({dy + row * num_features, gate_up + packed, gate_up + packed + num_features}, num_features);
    }
  });
}

}  // namespace tessera::kernels::cpu
