#include "data/memory_dataset.hpp"

#include "tessera/core/error.hpp"

namespace tessera::data {

MemoryDataset::MemoryDataset(MemoryImages images) : images_(std::move(images)) {
  core::require<core::UserError>(size() > 0, "data", "{} holds no images", images_.source);
  for (std::int64_t i = 0; i < size(); ++i) {
    core::require<core::UserError>(
        label(i) < num_classes(), "data",
        "label {} of image {} of {} is out of range: there are {} classes; is --dataset right?", label(i), i,
        images_.source, num_classes());
  }
}

std::int64_t MemoryDataset::label(std::int64_t index) const { return images_.labels[static_cast<std::size_t>(index)]; }

DecodedImage MemoryDataset::decode(std::int64_t index, std::vector<std::uint8_t>& /*scratch*/) const {
  const std::size_t image_bytes = images_.pixels.size() / images_.labels.size();
  return {.bytes = std::span(images_.pixels).subspan(static_cast<std::size_t>(index) * image_bytes, image_bytes),
          .height = images_.height,
          .width = images_.width,
          .channels = images_.channels,
          .planar = true};
}

std::string MemoryDataset::name(std::int64_t index) const {
  return fmt::format("image {} of {}", index, images_.source);
}

std::vector<std::string> numbered_classes(std::int64_t count) {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < count; ++i) {
    names.push_back(std::to_string(i));
  }
  return names;
}

}  // namespace tessera::data
