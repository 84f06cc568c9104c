#pragma once

#include "tessera/io/safetensors.hpp"
#include "tessera/model/param_table.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tessera::model {

/// Weights that lie in files: a Hugging Face directory (its tensors named model.layers.* or layers.*), or a
/// consolidated .safetensors of ours (qwen.layers.*, patch_embed.*, classifier.*). Memory-mapped: a rank that reads a
/// range of a tensor touches that range alone.
class PretrainedWeights {
 public:
  /// Opens the files and holds them against the table. Throws one UserError that lists every tensor that is missing,
  /// unexpected, of another shape, or of a type that is not F32, BF16 or F16. The token embedding and the language
  /// head, which images have no use for, may be there and are passed over. Patch embedding and classifier may be
  /// absent, all of them: they start from random values.
  PretrainedWeights(const std::string& file_or_directory, const ParamTable& table);
  /// The same of files that are open; `path` names them in messages.
  PretrainedWeights(io::SafetensorsReader files, const std::string& path, const ParamTable& table);
  PretrainedWeights(const PretrainedWeights&) = delete;
  PretrainedWeights& operator=(const PretrainedWeights&) = delete;
  PretrainedWeights(PretrainedWeights&&) = delete;
  PretrainedWeights& operator=(PretrainedWeights&&) = delete;
  ~PretrainedWeights();

  /// Whether the files have this parameter.
  [[nodiscard]] bool has(const Param& param) const;

  /// Elements [begin, begin + values.size()) of a parameter that the files have, as fp32.
  void read(const Param& param, std::int64_t begin, std::span<float> values) const;

  /// Names of parameters that the files lack, and of tensors that were passed over: to be told to the user.
  [[nodiscard]] const std::vector<std::string>& absent() const;
  [[nodiscard]] const std::vector<std::string>& unused() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tessera::model
