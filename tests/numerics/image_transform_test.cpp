#include "data/augment.hpp"
#include "support/pictures.hpp"
#include "tessera/core/error.hpp"
#include "tessera/kernels/ops.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

// The fixtures are torchvision's and Pillow's own results: see make_image_fixtures.py. Shapes: B images, S x S pixels.

namespace tessera::kernels {
namespace {

const std::string kData = TESSERA_TEST_DATA "/image_transform/";

/// With this the output is byte / 255, exactly what torchvision's ToTensor gives.
ImageTransform plain_transform(std::int64_t size) { return {.output_size = size, .mean = {0, 0, 0}, .std = {1, 1, 1}}; }

std::vector<std::uint8_t> read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

at::Tensor bytes_tensor(const void* data, std::size_t size) {
  at::Tensor tensor = at::empty({static_cast<std::int64_t>(size)}, at::kByte);
  std::memcpy(tensor.mutable_data_ptr(), data, size);
  return tensor;
}

at::Tensor views_tensor(const std::vector<ImageView>& views) {
  return bytes_tensor(views.data(), views.size() * sizeof(ImageView));
}

at::Tensor run(c10::Device device, const at::Tensor& packed, const std::vector<ImageView>& views,
               const ImageTransform& transform, at::ScalarType dtype = at::kFloat) {
  const std::int64_t size = transform.output_size;
  at::Tensor out_B3SS = at::full({static_cast<std::int64_t>(views.size()), 3, size, size}, 7,
                                 at::TensorOptions().dtype(dtype).device(device));
  ops_for(device.type()).transform_images(packed.to(device), views_tensor(views).to(device), transform, out_B3SS);
  return out_B3SS.cpu();
}

/// Interleaved 3-channel bytes as channel planes.
std::vector<std::uint8_t> to_planes(const std::vector<std::uint8_t>& pixels) {
  std::vector<std::uint8_t> planes(pixels.size());
  const std::size_t num_pixels = pixels.size() / 3;
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    planes[i % 3 * num_pixels + i / 3] = pixels[i];
  }
  return planes;
}

struct Case {
  std::string name;
  std::int64_t size = 0;
  ImageView view;
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint8_t> expected;  ///< size x size x channels, interleaved
};

std::vector<Case> read_cases() {
  const std::vector<std::uint8_t> bytes = read_bytes(kData + "bytes.bin");
  std::ifstream lines(kData + "cases.txt");
  std::vector<Case> cases;
  Case entry;
  for (std::string kind; lines >> entry.name;) {
    ImageView& view = entry.view;
    view = {};
    lines >> view.height >> view.width >> view.channels >> kind;
    std::int32_t resize = 0;
    if (kind == "train") {
      lines >> view.crop_top >> view.crop_left >> view.crop_height >> view.crop_width >> view.flip;
    } else {
      lines >> resize;
    }
    std::int64_t at = 0;
    std::int64_t out_at = 0;
    lines >> entry.size >> at >> out_at;
    view.resized_height = view.resized_width = static_cast<std::int32_t>(entry.size);
    if (kind == "eval") {
      const data::DecodedImage image{{}, view.height, view.width, view.channels, false};
      const data::Recipe recipe{.eval_crop_share = static_cast<double>(entry.size) / (resize + 0.5)};
      view = data::evaluation_view(image, recipe, static_cast<std::int32_t>(entry.size));
    }
    entry.pixels.assign(bytes.begin() + at, bytes.begin() + at + view.height * view.width * view.channels);
    entry.expected.assign(bytes.begin() + out_at, bytes.begin() + out_at + entry.size * entry.size * view.channels);
    cases.push_back(entry);
  }
  return cases;
}

class ImageTransformOn : public testing::TestWithParam<c10::DeviceType> {
 protected:
  void SetUp() override {
    if (device().is_cuda() && !at::globalContext().hasCUDA()) {
      GTEST_SKIP() << "no CUDA device here";
    }
  }
  [[nodiscard]] static c10::Device device() {
    return GetParam() == c10::kCUDA ? c10::Device(c10::kCUDA, 0) : c10::Device(c10::kCPU);
  }
};

TEST_P(ImageTransformOn, GivesTorchvisionsBytes) {
  const std::vector<Case> cases = read_cases();
  ASSERT_EQ(cases.size(), 24U);
  for (const Case& entry : cases) {
    for (const bool planar : {false, true}) {
      SCOPED_TRACE(entry.name + (planar ? " planar" : ""));
      std::vector<std::uint8_t> pixels = planar && entry.view.channels == 3 ? to_planes(entry.pixels) : entry.pixels;
      ImageView view = entry.view;
      view.planar = planar ? 1 : 0;
      view.offset = 5;
      pixels.insert(pixels.begin(), 5, 0);
      const at::Tensor out_B3SS =
          run(device(), bytes_tensor(pixels.data(), pixels.size()), {view}, plain_transform(entry.size));

      at::Tensor expected = bytes_tensor(entry.expected.data(), entry.expected.size())
                                .view({entry.size, entry.size, view.channels})
                                .permute({2, 0, 1})
                                .expand({3, entry.size, entry.size});
      EXPECT_TRUE(at::equal(out_B3SS[0], expected.to(at::kFloat).div(255)));
    }
  }
}

TEST_P(ImageTransformOn, GivesTorchvisionsBytesOfLargeAndNarrowImages) {
  std::ifstream lines(kData + "hashed.txt");
  std::size_t num_cases = 0;
  ImageView view;
  std::int32_t size = 0;
  unsigned long crc = 0;
  while (lines >> view.height >> view.width >> view.channels >> view.crop_top >> view.crop_left >> view.crop_height >>
         view.crop_width >> view.flip >> size >> crc) {
    SCOPED_TRACE(std::to_string(view.height) + "x" + std::to_string(view.width) + " to " + std::to_string(size));
    view.resized_height = view.resized_width = size;
    const auto pixels =
        test::noise_bytes(static_cast<std::size_t>(view.height) * static_cast<std::size_t>(view.width * view.channels));
    const at::Tensor out_B3SS =
        run(device(), bytes_tensor(pixels.data(), pixels.size()), {view}, plain_transform(size));
    const at::Tensor bytes = out_B3SS[0].permute({1, 2, 0}).mul(255).round().to(at::kByte).contiguous();
    EXPECT_EQ(crc32(0, bytes.const_data_ptr<std::uint8_t>(), static_cast<unsigned>(bytes.numel())), crc);
    ++num_cases;
  }
  EXPECT_EQ(num_cases, 9U);
}

TEST_P(ImageTransformOn, NormalizesAsTorchvisionDoes) {
  const std::vector<std::uint8_t> expected = read_bytes(kData + "normalize.bin");
  ASSERT_EQ(expected.size(), 3U * 256 * (4 + 2));
  at::Tensor every_byte = at::arange(256, at::kByte);
  const ImageView view{.height = 16,
                       .width = 16,
                       .channels = 1,
                       .crop_height = 16,
                       .crop_width = 16,
                       .resized_height = 16,
                       .resized_width = 16};
  const ImageTransform transform{
      .output_size = 16, .mean = {0.4914F, 0.4822F, 0.4465F}, .std = {0.2023F, 0.1994F, 0.2010F}};
  const at::Tensor single = run(device(), every_byte, {view}, transform);
  EXPECT_EQ(std::memcmp(single.const_data_ptr(), expected.data(), 3 * 256 * 4), 0);
  const at::Tensor half = run(device(), every_byte, {view}, transform, at::kBFloat16);
  EXPECT_EQ(std::memcmp(half.const_data_ptr(), expected.data() + 3 * 256 * 4, 3 * 256 * 2), 0);
}

std::string device_name(const testing::TestParamInfo<c10::DeviceType>& info) {
  return c10::DeviceTypeName(info.param, /*lower_case=*/true);
}
INSTANTIATE_TEST_SUITE_P(Devices, ImageTransformOn, testing::Values(c10::kCPU, c10::kCUDA), device_name);

/// A batch of boxes of every kind, of which no two images have the same size.
std::vector<ImageView> mixed_views(std::int32_t size, std::int64_t& packed_bytes) {
  std::vector<ImageView> views;
  const data::Recipe recipe{.min_crop_area = 0.05, .eval_crop_share = 0.875};
  packed_bytes = 0;
  for (std::int32_t i = 0; i < 24; ++i) {
    const data::DecodedImage image{{}, 20 + 37 * (i % 7), 24 + 61 * (i % 5), i % 4 == 0 ? 1 : 3, i % 2 == 0};
    ImageView view = i % 3 == 0 ? data::evaluation_view(image, recipe, size)
                                : data::training_view(image, recipe, size, 0.5, {.seed = 3, .epoch = 1, .index = i});
    view.offset = packed_bytes;
    packed_bytes += static_cast<std::int64_t>(image.height) * image.width * image.channels;
    views.push_back(view);
  }
  return views;
}

TEST(ImageTransform, IsTheSameToTheBitOnGpu) {
  if (!at::globalContext().hasCUDA()) {
    GTEST_SKIP() << "no CUDA device here";
  }
  for (const std::int32_t size : {1, 28, 33, 64, 224}) {
    std::int64_t packed_bytes = 0;
    const std::vector<ImageView> views = mixed_views(size, packed_bytes);
    const auto pixels = test::noise_bytes(static_cast<std::size_t>(packed_bytes));
    const at::Tensor packed = bytes_tensor(pixels.data(), pixels.size());
    ImageTransform transform = plain_transform(size);
    transform.mean = {0.1F, 0.2F, 0.3F};
    transform.std = {0.3F, 0.2F, 0.1F};
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(size);
      EXPECT_TRUE(at::equal(run(c10::Device(c10::kCUDA, 0), packed, views, transform, dtype),
                            run(c10::kCPU, packed, views, transform, dtype)));
    }
  }
}

TEST(ImageTransform, GivesTheBytesBeforeNormalisationOnTheCpu) {
  std::int64_t packed_bytes = 0;
  const std::vector<ImageView> views = mixed_views(40, packed_bytes);
  const auto pixels = test::noise_bytes(static_cast<std::size_t>(packed_bytes));
  const at::Tensor packed = bytes_tensor(pixels.data(), pixels.size());
  ImageTransform other = plain_transform(40);
  other.mean = {0.1F, 0.2F, 0.3F};
  const at::Tensor bytes_B3SS = run(c10::kCPU, packed, views, other, at::kByte);
  EXPECT_TRUE(at::equal(bytes_B3SS.to(at::kFloat).div(255), run(c10::kCPU, packed, views, plain_transform(40))));
}

TEST(ImageTransform, AnImageDoesNotDependOnItsNeighbours) {
  std::int64_t packed_bytes = 0;
  const std::vector<ImageView> views = mixed_views(40, packed_bytes);
  const auto pixels = test::noise_bytes(static_cast<std::size_t>(packed_bytes));
  const at::Tensor packed = bytes_tensor(pixels.data(), pixels.size());
  const at::Tensor together_B3SS = run(c10::kCPU, packed, views, plain_transform(40));
  for (std::size_t i = 0; i < views.size(); ++i) {
    const at::Tensor alone_B3SS = run(c10::kCPU, packed, {views[i]}, plain_transform(40));
    EXPECT_TRUE(at::equal(alone_B3SS[0], together_B3SS[static_cast<std::int64_t>(i)])) << i;
  }
}

TEST(ImageTransform, RefusesViewsThatDoNotFit) {
  const at::Tensor packed = at::zeros({3 * 8 * 8}, at::kByte);
  const ImageView good{
      .height = 8, .width = 8, .crop_height = 8, .crop_width = 8, .resized_height = 4, .resized_width = 4};
  EXPECT_NO_THROW(run(c10::kCPU, packed, {good}, plain_transform(4)));
  std::vector<ImageView> bad(8, good);
  bad[0].offset = 1;
  bad[1].crop_left = 1;
  bad[2].crop_height = 0;
  bad[3].window_top = 1;
  bad[4].resized_width = 3;
  bad[5].channels = 2;
  bad[6].offset = -1;
  bad[7].height = 9;
  for (const ImageView& view : bad) {
    EXPECT_THROW(run(c10::kCPU, packed, {good, view}, plain_transform(4)), core::Error);
  }
  const ImageView wide{.height = 1,
                       .width = 4004,
                       .channels = 1,
                       .crop_height = 1,
                       .crop_width = 4001,
                       .resized_height = 4,
                       .resized_width = 4};
  EXPECT_THROW(run(c10::kCPU, at::zeros({4004}, at::kByte), {wide}, plain_transform(4)), core::Error);
  at::Tensor wrong = at::empty({1, 3, 5, 5});
  EXPECT_THROW(cpu::transform_images(packed, views_tensor({good}), plain_transform(4), wrong), core::Error);
}

}  // namespace
}  // namespace tessera::kernels
