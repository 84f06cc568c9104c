#include "tensor_source.hpp"

#include "tessera/checkpoint/reader.hpp"
#include "tessera/checkpoint/restore.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/safetensors.hpp"

#include <map>
#include <span>

namespace tessera::tools {
namespace {

class CheckpointSource : public TensorSource {
 public:
  // All tensors, or the weights in one type.
  CheckpointSource(const std::string& path, bool only_weights, core::DType dtype) : reader_(path) {
    for (const checkpoint::StoredTensor& tensor : reader_.tensors()) {
      if (!only_weights) {
        add(tensor.name(), tensor);
      } else if (tensor.info.component == state::Component::kWeight) {
        add(tensor.info.parameter,
            *checkpoint::find_source(reader_, tensor.info.parameter, state::Component::kWeight, dtype));
      }
    }
  }

  [[nodiscard]] std::vector<TensorEntry> entries() const override { return entries_; }

  void read(const std::string& name, std::int64_t begin, std::int64_t end, float* values) const override {
    reader_.read_floats(*by_name_.at(name), begin, std::span(values, static_cast<std::size_t>(end - begin)));
  }

 private:
  void add(const std::string& name, const checkpoint::StoredTensor& tensor) {
    entries_.push_back({name, tensor.info.shape, tensor.info.dtype, tensor.num_elements()});
    by_name_[name] = &tensor;
  }

  checkpoint::Reader reader_;
  std::vector<TensorEntry> entries_;
  std::map<std::string, const checkpoint::StoredTensor*> by_name_;
};

class SafetensorsSource : public TensorSource {
 public:
  explicit SafetensorsSource(const std::string& path) : reader_(path), path_(path) {}

  [[nodiscard]] std::vector<TensorEntry> entries() const override {
    std::vector<TensorEntry> entries;
    for (const io::SafetensorsTensor& tensor : reader_.tensors()) {
      const auto dtype = tensor.element_type();
      core::require<core::UserError>(dtype.has_value(), "tessera-ckpt diff",
                                     "{}: tensor '{}' is of type {}; F32, BF16 and F16 are compared here", path_,
                                     tensor.name, tensor.dtype);
      entries.push_back({tensor.name, tensor.shape, *dtype, tensor.num_elements});
    }
    return entries;
  }

  void read(const std::string& name, std::int64_t begin, std::int64_t end, float* values) const override {
    io::read_elements(*reader_.find(name), begin, end, core::DType::kFloat32, values);
  }

 private:
  io::SafetensorsReader reader_;
  std::string path_;
};

}  // namespace

std::unique_ptr<TensorSource> open_checkpoint(const std::string& path) {
  return std::make_unique<CheckpointSource>(path, false, core::DType::kFloat32);
}

std::unique_ptr<TensorSource> open_checkpoint_weights(const std::string& path, core::DType dtype) {
  return std::make_unique<CheckpointSource>(path, true, dtype);
}

std::unique_ptr<TensorSource> open_safetensors(const std::string& path) {
  return std::make_unique<SafetensorsSource>(path);
}

}  // namespace tessera::tools
