#include "support/data_files.hpp"
#include "support/scratch.hpp"
#include "tessera/core/error.hpp"
#include "tessera/data/dataset.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

// CIFAR and IDX files, whole and damaged, all made here.

namespace tessera::data {
namespace {

using config::DatasetKind;
using test::cifar_records;
using test::gzip;
using test::idx;
using test::message_of;
using test::tar;
using test::write_file;
using testing::Test;

/// Fails unless opening throws a UserError whose text has every one of `words`.
void expect_refused(const DatasetSpec& spec, const std::vector<std::string>& words) {
  const std::string message = message_of<core::UserError>([&] { open_dataset(spec); });
  EXPECT_EQ(message.find("[data]"), 0U) << message;
  for (const std::string& word : words) {
    EXPECT_NE(message.find(word), std::string::npos) << "no \"" << word << "\" in: " << message;
  }
}

class DataFiles : public Test {
 protected:
  [[nodiscard]] std::filesystem::path path() const { return scratch_.path(); }
  [[nodiscard]] std::string file(const char* name) const { return (path() / name).string(); }
  void write(const std::filesystem::path& name, const std::string& bytes) const {
    const std::filesystem::path whole = path() / name;
    std::filesystem::create_directories(whole.parent_path());
    write_file(whole.string(), bytes);
  }
  [[nodiscard]] DatasetSpec spec(DatasetKind kind, Split split = Split::kTrain) const {
    return {kind, path().string(), split};
  }

 private:
  test::ScratchDirectory scratch_;
};

using Cifar = DataFiles;

std::string hundred_names() {
  std::string names;
  for (int i = 0; i < 100; ++i) {
    names += "class_" + std::to_string(i) + "\r\n";
  }
  return names + "\n";
}

void expect_cifar100(const Dataset& dataset, std::int64_t expected_size) {
  ASSERT_EQ(dataset.size(), expected_size);
  ASSERT_EQ(dataset.num_classes(), 100);
  EXPECT_EQ(dataset.label(1), 99);
  std::vector<std::uint8_t> scratch;
  const DecodedImage image = dataset.decode(1, scratch);
  EXPECT_EQ(image.height, 32);
  EXPECT_EQ(image.width, 32);
  EXPECT_EQ(image.channels, 3);
  EXPECT_TRUE(image.planar);
  ASSERT_EQ(image.bytes.size(), 3072U);
  EXPECT_EQ(image.bytes[0], 37);
  EXPECT_EQ(image.bytes[3071], (37 + 3071) % 256);
}

TEST_F(Cifar, ReadsUnpackedFiles) {
  const std::string train = cifar_records({{3, 17}, {1, 99}, {0, 0}});
  write("cifar-100-binary/train.bin", train);
  write("cifar-100-binary/fine_label_names.txt", hundred_names());
  const auto inside = open_dataset(spec(DatasetKind::kCifar100));
  expect_cifar100(*inside, 3);
  EXPECT_EQ(inside->class_names()[42], "class_42");
  EXPECT_FLOAT_EQ(inside->recipe().mean[0], 0.4914F);
  EXPECT_EQ(inside->recipe().min_crop_area, 0.2);
  expect_cifar100(*open_dataset({DatasetKind::kCifar100, file("cifar-100-binary"), Split::kTrain}), 3);
}

TEST_F(Cifar, ReadsTheArchiveWhateverItsFolderIsCalled) {
  const std::string archive = gzip(tar({{"any/folder/", ""},
                                        {"any/folder/fine_label_names.txt", hundred_names()},
                                        {"any/folder/test.bin", cifar_records({{1, 2}, {3, 99}})},
                                        {"any/folder/train.bin", cifar_records({{1, 2}, {3, 99}, {4, 5}})}}));
  write("cifar-100-binary.tar.gz", archive);
  expect_cifar100(*open_dataset(spec(DatasetKind::kCifar100)), 3);
  const auto test = open_dataset({DatasetKind::kCifar100, file("cifar-100-binary.tar.gz"), Split::kTest});
  expect_cifar100(*test, 2);
  EXPECT_EQ(test->class_names()[7], "class_7");
}

TEST_F(Cifar, Reads10FromFiveFiles) {
  for (int i = 1; i <= 5; ++i) {
    const char label = static_cast<char>(i);
    write(fmt::format("cifar-10-batches-bin/data_batch_{}.bin", i), cifar_records({{label}, {9}}));
  }
  write("cifar-10-batches-bin/test_batch.bin", cifar_records({{4}}));
  const auto train = open_dataset(spec(DatasetKind::kCifar10));
  ASSERT_EQ(train->size(), 10);
  EXPECT_EQ(train->num_classes(), 10);
  EXPECT_EQ(train->label(6), 4);
  EXPECT_EQ(train->label(7), 9);
  EXPECT_EQ(train->class_names()[3], "3");
  EXPECT_EQ(open_dataset(spec(DatasetKind::kCifar10, Split::kTest))->size(), 1);

  std::filesystem::remove(file("cifar-10-batches-bin/data_batch_4.bin"));
  expect_refused(spec(DatasetKind::kCifar10), {"data_batch_4.bin"});
}

TEST_F(Cifar, SaysWhatItLookedFor) {
  expect_refused(spec(DatasetKind::kCifar10),
                 {path().string(), "data_batch_1.bin", "cifar-10-batches-bin", "cifar-10-binary.tar.gz"});
  expect_refused({DatasetKind::kCifar10, file("nowhere"), Split::kTrain}, {"there is no", "/nowhere"});
  expect_refused({DatasetKind::kCifar10, "", Split::kTrain}, {"there is no data path"});
}

TEST_F(Cifar, RefusesDamagedFiles) {
  const std::string records = cifar_records({{1, 2}, {3, 4}});
  write("train.bin", records.substr(0, records.size() - 10));
  expect_refused(spec(DatasetKind::kCifar100), {"train.bin", "truncated", "expected 6148 bytes", "found 6138"});
  write("train.bin", "");
  expect_refused(spec(DatasetKind::kCifar100), {"no images"});
  write("train.bin", cifar_records({{1, 2}, {3, 100}}));
  expect_refused(spec(DatasetKind::kCifar100), {"label 100", "image 1", "out of range", "100 classes"});
  write("train.bin", records);
  write("fine_label_names.txt", "one\ntwo\n");
  expect_refused(spec(DatasetKind::kCifar100), {"fine_label_names.txt", "2 classes", "expected 100"});
}

TEST_F(Cifar, RefusesDamagedArchives) {
  const std::string records = cifar_records({{1, 2}, {3, 4}});
  const std::string plain = tar({{"x/train.bin", records}});
  const std::string name = "cifar-100-binary.tar.gz";
  const DatasetSpec train = spec(DatasetKind::kCifar100);

  write(name, gzip(tar({{"x/other.bin", records}})));
  expect_refused(train, {name, "holds no train.bin"});
  const std::string packed = gzip(plain);
  write(name, packed.substr(0, packed.size() / 2));
  expect_refused(train, {name, "corrupt", "unexpected end of file"});
  std::string flipped = packed;
  flipped[flipped.size() - 6] = static_cast<char>(flipped[flipped.size() - 6] ^ 1);  // of the CRC
  write(name, flipped);
  expect_refused(train, {name, "corrupt", "data check"});
  write(name, gzip(plain.substr(0, 2000)));
  expect_refused(train, {name, "truncated", "expected 6148 bytes of x/train.bin", "found 1488"});
  std::string header = plain;
  header[0] = 'y';
  write(name, gzip(header));
  expect_refused(train, {name, "checksum"});
  write(name, plain);
  expect_refused(train, {name, "no gzip file"});
}

class Idx : public DataFiles {
 protected:
  void write_train(const std::string& images, const std::string& labels) const {
    write("train-images-idx3-ubyte", images);
    write("train-labels-idx1-ubyte", labels);
  }
  const std::string pixels_ = std::string("abcdefghijklmnopqrstuvwx");  // 2 images of 3 x 4
};

TEST_F(Idx, ReadsFilesPackedOrNot) {
  write_train(idx({2, 3, 4}, pixels_), idx({2}, {7, 0}));
  write("raw/t10k-images-idx3-ubyte.gz", gzip(idx({2, 3, 4}, pixels_)));
  write("raw/t10k-labels-idx1-ubyte.gz", gzip(idx({2}, {7, 9})));
  for (const Split split : {Split::kTrain, Split::kTest}) {
    const auto dataset = open_dataset(spec(DatasetKind::kFashionMnist, split));
    ASSERT_EQ(dataset->size(), 2);
    EXPECT_EQ(dataset->num_classes(), 10);
    EXPECT_EQ(dataset->label(0), 7);
    EXPECT_EQ(dataset->label(1), split == Split::kTrain ? 0 : 9);
    std::vector<std::uint8_t> scratch;
    const DecodedImage image = dataset->decode(1, scratch);
    EXPECT_EQ(image.height, 3);
    EXPECT_EQ(image.width, 4);
    EXPECT_EQ(image.channels, 1);
    EXPECT_EQ(std::string(image.bytes.begin(), image.bytes.end()), "mnopqrstuvwx");
    EXPECT_FLOAT_EQ(dataset->recipe().std[2], 0.3530F);
  }
}

TEST_F(Idx, RefusesWhatIsMissingOrDamaged) {
  const DatasetSpec train = spec(DatasetKind::kFashionMnist);
  expect_refused(train, {path().string(), "train-images-idx3-ubyte", ".gz", "FashionMNIST/raw"});
  const std::string labels = idx({2}, {7, 0});
  write_train(idx({2, 3, 4}, pixels_.substr(3)), labels);
  expect_refused(train, {"train-images-idx3-ubyte", "truncated", "expected 24 bytes", "found 21"});
  write_train(idx({2, 3, 4}, pixels_ + "y"), labels);
  expect_refused(train, {"train-images-idx3-ubyte", "1 bytes more"});
  write_train(idx({3, 3, 4}, pixels_ + "yz0123456789"), labels);
  expect_refused(train, {"3 images", "2 labels"});
  write_train(idx({2, 12}, pixels_), labels);
  expect_refused(train, {"magic 00000802", "expected 00000803"});
  write_train(idx({2, 3, 4}, pixels_), idx({2}, {7, 10}));
  expect_refused(train, {"label 10", "image 1", "out of range"});
  write_train(idx({0, 3, 4}, ""), idx({0}, ""));
  expect_refused(train, {"no images"});
  write_train(idx({2, 0, 4}, ""), labels);
  expect_refused(train, {"0x4 pixels"});
  write_train(idx({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, pixels_), labels);
  expect_refused(train, {"corrupt", "header"});
  write_train("no", labels);
  expect_refused(train, {"truncated", "header"});
}

TEST_F(Idx, RefusesACorruptGzipFile) {
  std::string packed = gzip(idx({2, 3, 4}, pixels_));
  packed[packed.size() - 5] = static_cast<char>(packed[packed.size() - 5] ^ 16);  // of the CRC
  write("train-images-idx3-ubyte.gz", packed);
  write("train-labels-idx1-ubyte.gz", gzip(idx({2}, {7, 0})));
  expect_refused(spec(DatasetKind::kFashionMnist), {"train-images-idx3-ubyte.gz", "corrupt", "data check"});
}

}  // namespace
}  // namespace tessera::data
