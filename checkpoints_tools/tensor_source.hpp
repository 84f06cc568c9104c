#pragma once

#include "tessera/core/dtype.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tessera::tools {

struct TensorEntry {
  std::string name;  ///< "PARAMETER/COMPONENT" of a checkpoint; "PARAMETER" of weights alone
  std::vector<std::int64_t> shape;
  core::DType dtype = core::DType::kFloat32;
  std::int64_t num_elements = 0;
};

/// Tensors from a checkpoint or from safetensors files, as fp32.
class TensorSource {
 public:
  TensorSource() = default;
  TensorSource(const TensorSource&) = delete;
  TensorSource& operator=(const TensorSource&) = delete;
  TensorSource(TensorSource&&) = delete;
  TensorSource& operator=(TensorSource&&) = delete;
  virtual ~TensorSource() = default;

  [[nodiscard]] virtual std::vector<TensorEntry> entries() const = 0;
  /// Elements [begin, end) of the tensor.
  virtual void read(const std::string& name, std::int64_t begin, std::int64_t end, float* values) const = 0;
};

/// All tensors of a checkpoint. Throws UserError.
std::unique_ptr<TensorSource> open_checkpoint(const std::string& path);
/// The weights of a checkpoint alone, in `dtype`: fp32 comes from the masters.
std::unique_ptr<TensorSource> open_checkpoint_weights(const std::string& path, core::DType dtype);
/// A .safetensors file or a Hugging Face directory.
std::unique_ptr<TensorSource> open_safetensors(const std::string& path);

}  // namespace tessera::tools
