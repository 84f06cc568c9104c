#include "support/local_parameters.hpp"

#include "tessera/io/safetensors.hpp"

#include <ATen/ATen.h>

#include <cstring>
#include <stdexcept>

namespace tessera::test {

LocalParameters::LocalParameters(const model::ParamTable& table, c10::Device device, at::ScalarType dtype)
    : table_(table) {
  for (const model::Unit& unit : table.units) {
    const std::vector<std::int64_t> shape =
        unit.num_columns > 0 ? std::vector<std::int64_t>{unit.num_elements / unit.num_columns, unit.num_columns}
                             : std::vector<std::int64_t>{unit.num_elements};
    weights_.push_back(at::zeros(shape, at::TensorOptions().dtype(dtype).device(device)));
    gradients_.push_back(at::full_like(weights_.back(), std::numeric_limits<float>::quiet_NaN()));
  }
}

at::Tensor LocalParameters::weight(int unit) { return weights_[static_cast<std::size_t>(unit)]; }

kernels::GradientTarget LocalParameters::target(int unit) {
  return {gradients_[static_cast<std::size_t>(unit)], accumulate};
}

void LocalParameters::ready(int unit) { ready_order.push_back(unit); }

at::Tensor LocalParameters::param(const std::string& name) const { return view(weights_, name); }
at::Tensor LocalParameters::gradient(const std::string& name) const { return view(gradients_, name); }

at::Tensor LocalParameters::view(const std::vector<at::Tensor>& units, const std::string& name) const {
  std::int64_t offset = 0;
  int last_unit = -1;
  for (const model::Param& param : table_.params) {
    offset = param.unit == last_unit ? offset : 0;
    last_unit = param.unit;
    if (param.name == name) {
      return units[static_cast<std::size_t>(param.unit)]
          .view({-1})
          .narrow(0, offset, param.num_elements())
          .view(param.shape);
    }
    offset += param.num_elements();
  }
  throw std::out_of_range(name);
}

std::map<std::string, at::Tensor> load_safetensors(const std::string& path) {
  const io::SafetensorsReader reader(path);
  const std::map<std::string, at::ScalarType> types{{"F32", at::kFloat}, {"BF16", at::kBFloat16}, {"I64", at::kLong}};
  std::map<std::string, at::Tensor> tensors;
  for (const io::SafetensorsTensor& tensor : reader.tensors()) {
    at::Tensor copy = at::empty(tensor.shape, at::TensorOptions().dtype(types.at(tensor.dtype)));
    std::memcpy(copy.mutable_data_ptr(), tensor.bytes.data(), tensor.bytes.size());
    tensors.emplace(tensor.name, copy);
  }
  return tensors;
}

double relative_error(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor reference = b.to(at::kCPU, at::kDouble);
  const at::Tensor difference = a.to(at::kCPU, at::kDouble) - reference;
  return (difference.norm() / reference.norm()).item<double>();
}

}  // namespace tessera::test
