#include "data/image_file.hpp"
#include "support/scratch.hpp"
#include "tessera/core/error.hpp"
#include "tessera/data/dataset.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

// JPEG and PNG files and folders of them, against Pillow's pixels: see tests/numerics/make_image_fixtures.py.

namespace tessera::data {
namespace {

namespace fs = std::filesystem;
using test::message_of;
using test::read_file;
using test::write_file;

const fs::path kImages = TESSERA_TEST_DATA "/images";

std::span<const std::uint8_t> as_bytes(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// Three interleaved channels, whatever the image has.
std::string as_rgb(const DecodedImage& image) {
  EXPECT_FALSE(image.planar);
  std::string rgb;
  for (const std::uint8_t byte : image.bytes) {
    rgb.append(image.channels == 1 ? 3 : 1, static_cast<char>(byte));
  }
  return rgb;
}

TEST(ImageFile, GivesPillowsPixels) {
  int num_files = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(kImages)) {
    if (entry.path().extension() == ".rgb") {
      continue;
    }
    SCOPED_TRACE(entry.path().filename());
    const std::string expected = read_file(entry.path().string() + ".rgb");
    std::int32_t shape[2];
    std::memcpy(shape, expected.data(), sizeof shape);
    const std::string file = read_file(entry.path().string());
    std::vector<std::uint8_t> pixels(3, 77);  // of an image before
    const DecodedImage image = decode_image(as_bytes(file), "it", pixels);
    EXPECT_EQ(image.height, shape[0]);
    EXPECT_EQ(image.width, shape[1]);
    EXPECT_TRUE(as_rgb(image) == expected.substr(sizeof shape));
    ++num_files;
  }
  EXPECT_EQ(num_files, 20);
}

TEST(ImageFile, RefusesDamagedFilesByName) {
  for (const char* name : {"color_420.jpg", "color_444_progressive.jpg", "grey.jpg", "cmyk.jpg", "color.png",
                           "palette.png", "grey_16bit.png"}) {
    SCOPED_TRACE(name);
    const std::string file = read_file((kImages / name).string());
    std::vector<std::uint8_t> pixels;
    for (const std::size_t size :
         {file.size() / 2, file.size() - 30, std::size_t{30}, std::size_t{9}, file.size() - 1}) {
      const std::string message =
          message_of<core::Error>([&] { decode_image(as_bytes(file.substr(0, size)), "some/file", pixels); });
      EXPECT_NE(message.find("some/file is a corrupt"), std::string::npos) << size << " bytes: " << message;
    }
  }
  std::vector<std::uint8_t> pixels;
  EXPECT_NE(message_of<core::Error>([&] { decode_image({}, "empty", pixels); }).find("neither a JPEG nor a PNG"),
            std::string::npos);
  // One bit of the compressed pixels, and one of their checksum, which stands before the 12 bytes of the last chunk.
  const std::string whole = read_file((kImages / "color.png").string());
  for (const std::size_t position : {std::size_t{500}, whole.size() - 13}) {
    std::string broken = whole;
    broken[position] = static_cast<char>(broken[position] ^ 4);
    const std::string message = message_of<core::Error>([&] { decode_image(as_bytes(broken), "broken", pixels); });
    EXPECT_NE(message.find("broken is a corrupt PNG file"), std::string::npos) << message;
  }
}

TEST(ImageFile, RefusesImagesTooLargeToBeTrue) {
  EXPECT_EQ(checked_num_pixels(3, 4, "x"), 12);
  EXPECT_THROW(checked_num_pixels(20000, 20000, "x"), core::Error);
  EXPECT_THROW(checked_num_pixels(0, 4, "x"), core::Error);
}

class ImageFolder : public testing::Test {
 protected:
  void SetUp() override {
    put("train/dog/b.png", "color.png");
    put("train/dog/a.JPG", "color_420.jpg");
    put("train/dog/more/0.png", "grey.png");
    put("train/cat/z.jpeg", "cmyk.jpg");
    put("val/cat/1.png", "color.png");
    put("val/dog/1.png", "grey.png");
    write_file(file("train/readme.txt"), "not a class");
    write_file(file("train/dog/notes.txt"), "not an image");
  }
  [[nodiscard]] std::string file(const std::string& name) const { return scratch_.file(name); }
  void put(const std::string& name, const std::string& image) const {
    fs::create_directories(fs::path(file(name)).parent_path());
    fs::copy_file(kImages / image, file(name));
  }
  [[nodiscard]] DatasetSpec spec(Split split) const {
    return {config::DatasetKind::kImageFolder, scratch_.path(), split};
  }
  void expect_refused(Split split, const std::vector<std::string>& words) const {
    const std::string message = message_of<core::UserError>([&] { open_dataset(spec(split)); });
    for (const std::string& word : words) {
      EXPECT_NE(message.find(word), std::string::npos) << "no \"" << word << "\" in: " << message;
    }
  }

 private:
  test::ScratchDirectory scratch_;
};

TEST_F(ImageFolder, IsTheSameByAnotherRanksList) {
  const auto train = open_dataset(spec(Split::kTrain));
  DatasetSpec listed = spec(Split::kTrain);
  listed.listing = list_dataset(listed);
  fs::rename(file("train"), file("elsewhere"));  // nobody looks again
  const auto same = open_dataset(listed);
  EXPECT_EQ(same->class_names(), train->class_names());
  ASSERT_EQ(same->size(), train->size());
  for (std::int64_t i = 0; i < train->size(); ++i) {
    EXPECT_EQ(same->name(i), train->name(i));
    EXPECT_EQ(same->label(i), train->label(i));
  }
  listed.listing.resize(listed.listing.size() / 2);
  EXPECT_THROW(open_dataset(listed), core::Error);
}

TEST_F(ImageFolder, ListsImagesAsTorchvisionDoes) {
  const auto train = open_dataset(spec(Split::kTrain));
  EXPECT_EQ(train->class_names(), (std::vector<std::string>{"cat", "dog"}));
  ASSERT_EQ(train->size(), 4);
  const std::vector<std::string> names = {"cat/z.jpeg", "dog/a.JPG", "dog/b.png", "dog/more/0.png"};
  for (std::int64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(train->name(i), file("train/" + names[static_cast<std::size_t>(i)]));
    EXPECT_EQ(train->label(i), i == 0 ? 0 : 1);
  }
  std::vector<std::uint8_t> scratch;
  EXPECT_EQ("  " + as_rgb(train->decode(2, scratch)).substr(2),
            "  " + read_file((kImages / "color.png.rgb").string()).substr(10));
  EXPECT_EQ(train->decode(3, scratch).channels, 1);
  EXPECT_EQ(train->recipe().min_crop_area, 0.08);
  EXPECT_EQ(train->recipe().eval_crop_share, 0.875);
}

TEST_F(ImageFolder, TakesValOrTest) {
  EXPECT_EQ(open_dataset(spec(Split::kTest))->size(), 2);
  fs::rename(file("val"), file("test"));
  EXPECT_EQ(open_dataset(spec(Split::kTest))->size(), 2);
  fs::remove_all(file("test"));
  expect_refused(Split::kTest, {"no folder val, nor test"});
  EXPECT_EQ(open_dataset(spec(Split::kTrain))->size(), 4);
  fs::remove_all(file("train"));
  expect_refused(Split::kTrain, {"no folder train"});
  fs::create_directory(file("train"));
  expect_refused(Split::kTrain, {"has no folders", "each class"});
}

TEST_F(ImageFolder, RefusesClassesThatDiffer) {
  put("val/emu/1.png", "grey.png");
  expect_refused(Split::kTrain, {"differ in 1 classes", "emu is in", "/val alone"});
  expect_refused(Split::kTest, {"differ in 1 classes", "emu is in", "/val alone"});
  fs::create_directory(file("train/emu"));
  expect_refused(Split::kTrain, {"/train/emu", "no JPEG or PNG"});
  EXPECT_EQ(open_dataset(spec(Split::kTest))->size(), 3);
}

TEST_F(ImageFolder, RefusesKindsOfImagesThatItCannotRead) {
  write_file(file("train/cat/x.WebP"), "RIFF");
  expect_refused(Split::kTrain, {"x.WebP", "convert"});
}

TEST_F(ImageFolder, NamesTheFileThatCannotBeDecoded) {
  write_file(file("train/cat/a.jpg"), "\xFF\xD8\xFF nonsense");
  const auto train = open_dataset(spec(Split::kTrain));
  std::vector<std::uint8_t> scratch;
  const auto message = [&] { return message_of<core::Error>([&] { (void)train->decode(0, scratch); }); };
  EXPECT_NE(message().find("train/cat/a.jpg is a corrupt JPEG file"), std::string::npos) << message();
  fs::remove(file("train/cat/a.jpg"));
  EXPECT_NE(message().find("cannot read " + file("train/cat/a.jpg")), std::string::npos) << message();
}

}  // namespace
}  // namespace tessera::data
