#pragma once

#include <ATen/core/Tensor.h>

// Shapes: N rows, F features; the packed projection gate_up_N2F holds [gate: F | up: F] in each row.

namespace tessera::kernels {

/// silu(gate) * up, with fp32 arithmetic, rounded once. (Shazeer 2020)
using SwigluForward = at::Tensor(const at::Tensor& gate_up_N2F);

/// In place: gate_up_N2F becomes its gradient, and dy_NF what forward gave, which the next layer's weight gradient
/// needs.
using SwigluBackward = void(at::Tensor& dy_NF, at::Tensor& gate_up_N2F);

namespace reference {
SwigluForward swiglu_forward;
SwigluBackward swiglu_backward;
}  // namespace reference

/// fp32 in one pass with vector instructions, on all of the rank's threads; bf16 as reference::.
namespace cpu {
SwigluForward swiglu_forward;
SwigluBackward swiglu_backward;
}  // namespace cpu

namespace cuda {
SwigluForward swiglu_forward;
SwigluBackward swiglu_backward;
}  // namespace cuda

}  // namespace tessera::kernels
