#pragma once

#include <ATen/core/Tensor.h>

// One matrix product by cuBLASLt, in the column-major terms that it has.

namespace tessera::kernels::linear {

/// A factor as cuBLAS sees a row-major matrix: its transpose. `transposed` transposes that once more.
struct Factor {
  const at::Tensor& matrix;
  bool transposed;
};

/// d^T = left right + c^T, where c is undefined (nothing is added), d itself, or another tensor of its shape.
struct Product {
  Factor left;
  Factor right;
  at::Tensor c;
  at::Tensor d;
};

/// Stream-ordered on PyTorch's current stream of d's GPU. Throws core::Error where cuBLASLt has no algorithm for it.
void multiply(const Product& product);

}  // namespace tessera::kernels::linear
