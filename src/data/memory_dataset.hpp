#pragma once

#include "tessera/data/dataset.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::data {

/// What a MemoryDataset is made of.
struct MemoryImages {
  std::string source;  ///< the file or directory, for messages
  std::int32_t height = 0;
  std::int32_t width = 0;
  std::int32_t channels = 3;
  std::vector<std::uint8_t> pixels;  ///< image after image, each in channel planes
  std::vector<std::uint8_t> labels;
  std::vector<std::string> class_names;
  Recipe recipe;
};

/// Images of one size, all in memory.
class MemoryDataset final : public Dataset {
 public:
  /// Throws core::UserError where a label is out of range or there is no image.
  explicit MemoryDataset(MemoryImages images);

  [[nodiscard]] std::int64_t size() const override { return static_cast<std::int64_t>(images_.labels.size()); }
  [[nodiscard]] const std::vector<std::string>& class_names() const override { return images_.class_names; }
  [[nodiscard]] const Recipe& recipe() const override { return images_.recipe; }
  [[nodiscard]] std::int64_t label(std::int64_t index) const override;
  [[nodiscard]] DecodedImage decode(std::int64_t index, std::vector<std::uint8_t>& scratch) const override;
  [[nodiscard]] std::string name(std::int64_t index) const override;

 private:
  MemoryImages images_;
};

/// "0", "1" and so on.
std::vector<std::string> numbered_classes(std::int64_t count);

}  // namespace tessera::data
