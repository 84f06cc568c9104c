// Mixing, with the loss of mixed labels, against timm (make_augment_fixtures.py); erasing against the noise that it is
// made of; and each implementation against the others.
#include "support/kernel_test.hpp"
#include "support/local_parameters.hpp"
#include "tessera/core/error.hpp"

#include <ATen/ATen.h>

#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

// Shapes: B images of 3 x S x S, C classes.

namespace tessera::kernels {
namespace {

using test::expect_within;
using test::unit_of;

template <class T>
at::Tensor bytes_of(const std::vector<T>& structs) {
  at::Tensor bytes = at::empty({static_cast<std::int64_t>(structs.size() * sizeof(T))}, at::kByte);
  std::memcpy(bytes.mutable_data_ptr(), structs.data(), structs.size() * sizeof(T));
  return bytes;
}

class MixImagesTest : public test::KernelTest {
 protected:
  using Case = std::map<std::string, at::Tensor>;

  static std::map<std::string, Case> read_cases() {
    std::map<std::string, Case> cases;
    for (const auto& [name, tensor] : test::load_safetensors(TESSERA_TEST_DATA "/augment/mixup.safetensors")) {
      const std::size_t dot = name.find('.');
      cases[name.substr(0, dot)][name.substr(dot + 1)] = tensor;
    }
    return cases;
  }

  [[nodiscard]] static at::Tensor mixes_of(const Case& entry) {
    std::vector<ImageMix> mixes;
    for (std::int64_t i = 0; i < entry.at("before").size(0); ++i) {
      const auto box = [&](int field) { return entry.at("box")[i][field].item<std::int32_t>(); };
      mixes.push_back(
          {entry.at("own")[i].item<float>(), entry.at("other")[i].item<float>(), box(0), box(1), box(2), box(3)});
    }
    return bytes_of(mixes);
  }
};

TEST_P(MixImagesTest, GivesTimmsImagesToTheBit) {
  const auto cases = read_cases();
  ASSERT_EQ(cases.size(), 7U);
  for (const auto& [name, entry] : cases) {
    SCOPED_TRACE(name);
    at::Tensor images_B3SS = entry.at("before").to(device()).clone();
    ops().mix_images(mixes_of(entry).to(device()), images_B3SS);
    EXPECT_TRUE(at::equal(images_B3SS.cpu(), entry.at("after")));
    EXPECT_FALSE(at::equal(images_B3SS.cpu(), entry.at("before")));
  }
}

TEST_P(MixImagesTest, RoundsOnceToBFloat16) {
  const auto cases = read_cases();
  const Case& entry = cases.at("elem_both");
  const at::Tensor rounded = entry.at("before").to(at::kBFloat16);
  at::Tensor images_B3SS = rounded.to(device()).clone();
  ops().mix_images(mixes_of(entry).to(device()), images_B3SS);
  at::Tensor exact_B3SS = rounded.to(at::kFloat);
  reference::mix_images(mixes_of(entry), exact_B3SS);
  EXPECT_TRUE(at::equal(images_B3SS.cpu(), exact_B3SS.to(at::kBFloat16)));
}

TEST_P(MixImagesTest, RefusesWhatIsNoPair) {
  at::Tensor images_B3SS = at::zeros({3, 3, 4, 4}, device());
  EXPECT_THROW(ops().mix_images(bytes_of(std::vector<ImageMix>(3)).to(device()), images_B3SS), core::Error);
  images_B3SS = at::zeros({2, 3, 4, 4}, device());
  EXPECT_THROW(ops().mix_images(bytes_of(std::vector<ImageMix>(3)).to(device()), images_B3SS), core::Error);
}

TEST_P(MixImagesTest, LossOfMixedLabelsIsTimms) {
  for (const auto& [name, entry] : read_cases()) {
    SCOPED_TRACE(name);
    const at::Tensor labels_B = entry.at("labels").to(device());
    const Targets targets{labels_B, labels_B.flip(0), entry.at("shares").to(device())};
    const at::Tensor logits_BC = entry.at("logits").to(device());
    const auto result = ops().cross_entropy(logits_BC, targets, entry.at("smoothing").item<double>());
    // Both in fp32: a few units of the greatest log p, about the logits' range, and of the targets' own rounding.
    const double unit = unit_of(at::kFloat);
    const double range = (logits_BC.max() - logits_BC.min()).item<double>() + 4;
    const at::Tensor loss = result.loss_B.mean().view(1);
    expect_within(loss, test::exact(entry.at("loss")), at::full({1}, 16 * unit * range, at::kDouble), "loss");
    const at::Tensor bound = at::full(logits_BC.sizes(), 16 * unit * range / 8, at::kDouble);
    expect_within(result.dlogits_BC, test::exact(entry.at("dlogits")), bound, "dlogits");
  }
}

TEST_P(MixImagesTest, LossOfAWholeShareIsThatOfOneLabel) {
  const at::Tensor logits_BC = random({6, 5}, at::kFloat, 1);
  const at::Tensor labels_B = at::arange(6).remainder(5).to(device());
  const Targets mixed{labels_B, labels_B.flip(0), at::ones({6}, device())};
  const auto one = ops().cross_entropy(logits_BC, {labels_B}, 0.1);
  const auto two = ops().cross_entropy(logits_BC, mixed, 0.1);
  EXPECT_TRUE(at::equal(one.loss_B, two.loss_B));
  EXPECT_TRUE(at::equal(one.dlogits_BC, two.dlogits_BC));
}

TEST_P(MixImagesTest, LossRefusesHalfOfAPair) {
  const at::Tensor logits_BC = random({4, 3}, at::kFloat, 1);
  const at::Tensor labels_B = at::zeros({4}, device()).to(at::kLong);
  EXPECT_THROW(ops().cross_entropy(logits_BC, {labels_B, labels_B, {}}, 0), core::Error);
  EXPECT_THROW(ops().cross_entropy(logits_BC, {labels_B, labels_B, at::ones({3}, device())}, 0), core::Error);
  EXPECT_THROW(ops().cross_entropy(logits_BC, {labels_B, labels_B.narrow(0, 0, 3), at::ones({4}, device())}, 0),
               core::Error);
}

class EraseImagesTest : public test::KernelTest {
 protected:
  /// FillNormal's elements, as an image.
  [[nodiscard]] at::Tensor noise(std::uint64_t key, std::int64_t side, at::ScalarType type) const {
    at::Tensor flat = at::empty({3 * side * side}, at::TensorOptions().dtype(type).device(device()));
    ops().fill_normal(flat, {key, 0}, 0, 1);
    return flat.view({3, side, side});
  }
};

at::Tensor part(const at::Tensor& image_3SS, const ErasedBox& box) {
  return image_3SS.narrow(1, box.top, box.height).narrow(2, box.left, box.width);
}

TEST_P(EraseImagesTest, FillsBoxesWithColourOrNoiseTheLastOneOnTop) {
  constexpr std::int64_t kSide = 23;
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    SCOPED_TRACE(at::toString(type));
    const std::vector<ErasedBox> boxes{
        {.key = 77, .image = 1, .top = 2, .left = 3, .height = 9, .width = 14, .is_noise = 1},
        {.image = 1, .top = 5, .left = 10, .height = 11, .width = 5, .color = {0.5F, -1.25F, 2}},
        {.key = 77, .image = 1, .top = 12, .left = 12, .height = 11, .width = 11, .is_noise = 1},
        {.image = 2, .top = 0, .left = 0, .height = 23, .width = 1, .color = {}},
        {.key = 78, .image = 4, .top = 22, .left = 0, .height = 1, .width = 22, .is_noise = 1}};
    const at::Tensor before = random({5, 3, kSide, kSide}, type, 3);
    const at::Tensor expected = before.clone();
    for (const ErasedBox& box : boxes) {
      const at::Tensor target = part(expected[box.image], box);
      const at::Tensor color = at::tensor({box.color[0], box.color[1], box.color[2]}).to(expected.options());
      target.copy_(box.is_noise != 0 ? part(noise(box.key, kSide, type), box)
                                     : color.view({3, 1, 1}).expand_as(target));
    }
    at::Tensor images_B3SS = before.clone();
    ops().erase_images(bytes_of(boxes).to(device()), images_B3SS);
    EXPECT_TRUE(at::equal(images_B3SS, expected));
    EXPECT_TRUE(at::equal(images_B3SS[0], before[0]));
    EXPECT_FALSE(at::equal(images_B3SS[4], before[4]));
  }
}

TEST_P(EraseImagesTest, ManyBoxesOfLargeImages) {
  std::vector<ErasedBox> boxes;
  for (std::int32_t i = 0; i < 40; ++i) {
    boxes.push_back({.key = static_cast<std::uint64_t>(i),
                     .image = i / 2,
                     .top = i,
                     .left = 3 * i,
                     .height = 120,
                     .width = 77,
                     .is_noise = 1});
  }
  const at::Tensor before = at::zeros({20, 3, 224, 224}, device());
  at::Tensor images_B3SS = before.clone();
  ops().erase_images(bytes_of(boxes).to(device()), images_B3SS);
  for (const ErasedBox& box : boxes) {
    if (box.key % 2 == 1) {  // the last of its image
      EXPECT_TRUE(at::equal(part(images_B3SS[box.image], box), part(noise(box.key, 224, at::kFloat), box)));
    }
  }
  const at::Tensor erased = images_B3SS.ne(0).sum();
  EXPECT_EQ(erased.item<std::int64_t>(), 20 * 3 * (2 * 120 * 77 - 119 * 74));
}

TEST_P(EraseImagesTest, RefusesWhatDoesNotFit) {
  at::Tensor images_B3SS = at::zeros({2, 3, 8, 8}, device());
  at::Tensor boxes = bytes_of(std::vector<ErasedBox>{{.height = 1, .width = 1}}).to(device());
  EXPECT_NO_THROW(ops().erase_images(boxes, images_B3SS));
  EXPECT_THROW(ops().erase_images(boxes.narrow(0, 1, boxes.numel() - 1), images_B3SS), core::Error);
  if (is_cuda()) {
    return;  // boxes in device memory are the caller's affair
  }
  for (const ErasedBox& box :
       {ErasedBox{.image = 2, .height = 1, .width = 1}, ErasedBox{.height = 0, .width = 1},
        ErasedBox{.top = 8, .height = 1, .width = 1}, ErasedBox{.left = -1, .height = 1, .width = 1},
        ErasedBox{.left = 4, .height = 8, .width = 5}}) {
    EXPECT_THROW(ops().erase_images(bytes_of(std::vector<ErasedBox>{box}), images_B3SS), core::Error);
  }
}

INSTANTIATE_TEST_SUITE_P(Everywhere, MixImagesTest, test::kImplementations, test::implementation_name);
INSTANTIATE_TEST_SUITE_P(Everywhere, EraseImagesTest, test::kImplementations, test::implementation_name);

}  // namespace
}  // namespace tessera::kernels
