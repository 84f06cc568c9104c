#pragma once

#include "tessera/core/dtype.hpp"

#include <ATen/core/Tensor.h>

#include <string_view>

namespace tessera::kernels {

/// What an op demands of one argument. Each method throws core::Error, naming op and argument, where it does not hold.
class Check {
 public:
  Check(std::string_view op, std::string_view name, const at::Tensor& tensor);

  /// fp32 or bf16.
  const Check& is_float() const;
  const Check& has_type(at::ScalarType type) const;
  const Check& has_shape(at::IntArrayRef shape) const;
  const Check& has_dim(std::int64_t dim) const;
  const Check& is_contiguous() const;
  /// Elements of the last dimension lie next to each other.
  const Check& has_dense_rows() const;
  const Check& is_on(const at::Device& device) const;

 private:
  std::string_view op_;
  std::string_view name_;
  const at::Tensor& tensor_;
};

/// For launchers, which know no ATen. The tensor is fp32 or bf16.
core::DType dtype_of(const at::Tensor& tensor);

}  // namespace tessera::kernels
