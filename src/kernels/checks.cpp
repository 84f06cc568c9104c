#include "kernels/checks.hpp"

#include "tessera/core/error.hpp"

#include <ATen/core/Tensor.h>

#include <sstream>

namespace tessera::kernels {
namespace {

template <class T>
std::string to_text(const T& value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

}  // namespace

Check::Check(std::string_view op, std::string_view name, const at::Tensor& tensor)
    : op_(op), name_(name), tensor_(tensor) {
  core::require(tensor.defined(), "kernels", "{}: {} is not there (an undefined tensor)", op_, name_);
}

const Check& Check::is_float() const {
  const at::ScalarType type = tensor_.scalar_type();
  core::require(type == at::kFloat || type == at::kBFloat16, "kernels", "{}: {} is {}; it must be fp32 or bf16", op_,
                name_, at::toString(type));
  return *this;
}

const Check& Check::has_type(at::ScalarType type) const {
  core::require(tensor_.scalar_type() == type, "kernels", "{}: {} is {}; it must be {}", op_, name_,
                at::toString(tensor_.scalar_type()), at::toString(type));
  return *this;
}

const Check& Check::has_shape(at::IntArrayRef shape) const {
  if (tensor_.sizes() != shape) {
    core::fail("kernels", "{}: {} has shape {}; it must have {}", op_, name_, to_text(tensor_.sizes()), to_text(shape));
  }
  return *this;
}

const Check& Check::has_dim(std::int64_t dim) const {
  core::require(tensor_.dim() == dim, "kernels", "{}: {} has {} dimensions; it must have {}", op_, name_, tensor_.dim(),
                dim);
  return *this;
}

const Check& Check::is_contiguous() const {
  core::require(tensor_.is_contiguous(), "kernels", "{}: {} must be contiguous", op_, name_);
  return *this;
}

const Check& Check::has_dense_rows() const {
  core::require(tensor_.dim() > 0 && (tensor_.size(-1) == 1 || tensor_.stride(-1) == 1), "kernels",
                "{}: the last dimension of {} must be contiguous", op_, name_);
  return *this;
}

const Check& Check::is_on(const at::Device& device) const {
  core::require(tensor_.device() == device, "kernels", "{}: {} is on {}; it must be on {}", op_, name_,
                tensor_.device().str(), device.str());
  return *this;
}

core::DType dtype_of(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kFloat ? core::DType::kFloat32 : core::DType::kBFloat16;
}

}  // namespace tessera::kernels
