#include "support/scratch.hpp"
#include "tessera/core/dtype.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/convert.hpp"
#include "tessera/io/file_system.hpp"
#include "tessera/io/mapped_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace tessera::io {
namespace {

using test::message_of;
using test::ScratchDirectory;

TEST(MappedFile, ShowsTheBytesOfAFile) {
  const ScratchDirectory scratch;
  test::write_file(scratch.file("data"), "some bytes");
  MappedFile first(scratch.file("data"));
  const MappedFile map(std::move(first));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(map.bytes().data()), map.bytes().size()), "some bytes");
  test::write_file(scratch.file("empty"), "");
  EXPECT_TRUE(MappedFile(scratch.file("empty")).bytes().empty());
}

TEST(MappedFile, NamesTheFileThatItCannotOpen) {
  const std::string missing = message_of<core::UserError>([] { const MappedFile map("/nowhere/at/all"); });
  EXPECT_EQ(missing, "[io] cannot open /nowhere/at/all: No such file or directory");
  const ScratchDirectory scratch;
  const std::string directory = message_of<core::UserError>([&] { const MappedFile map(scratch.path()); });
  EXPECT_NE(directory.find("not a regular file"), std::string::npos) << directory;
  ASSERT_EQ(::mkfifo(scratch.file("pipe").c_str(), 0600), 0);
  const std::string pipe = message_of<core::UserError>([&] { const MappedFile map(scratch.file("pipe")); });
  EXPECT_EQ(pipe, "[io] " + scratch.file("pipe") + " is not a regular file");
}

TEST(FileSystem, WritesAtomically) {
  const ScratchDirectory scratch;
  const FileSystem files;
  files.atomic_write(scratch.file("latest"), "checkpoint-1\n");
  files.atomic_write(scratch.file("latest"), "checkpoint-2\n");
  EXPECT_EQ(test::read_file(scratch.file("latest")), "checkpoint-2\n");
  EXPECT_EQ(test::list_directory(scratch.path()), std::vector<std::string>{"latest"});
}

TEST(FileSystem, AnInterruptedWriteLeavesTheOldText) {
  const ScratchDirectory scratch;
  FileSystem().atomic_write(scratch.file("latest"), "old");
  for (const std::string failing : {"write", "sync", "rename"}) {
    const FileSystem files([&](std::string_view step, const std::string& /*path*/) {
      if (step == failing) {
        throw std::runtime_error("stopped");
      }
    });
    EXPECT_THROW(files.atomic_write(scratch.file("latest"), "new"), std::runtime_error);
    EXPECT_EQ(test::read_file(scratch.file("latest")), "old") << failing;
    EXPECT_EQ(test::list_directory(scratch.path()), std::vector<std::string>{"latest"}) << failing;
  }
}

TEST(FileSystem, TakesEveryStepOfAnAtomicWriteInOrder) {
  const ScratchDirectory scratch;
  std::vector<std::string> steps;
  const FileSystem files([&](std::string_view step, const std::string& path) {
    steps.push_back(std::string(step) + " " + path.substr(scratch.path().size()));
  });
  files.atomic_write(scratch.file("a"), "text");
  EXPECT_EQ(steps, (std::vector<std::string>{"write /.tmp-a", "sync /.tmp-a", "rename /a", "sync directory "}));
}

TEST(FileSystem, ExchangesTwoDirectories) {
  const ScratchDirectory scratch;
  const FileSystem files;
  files.make_directories(scratch.file("a/b/c"));
  files.make_directory(scratch.file("d"));
  test::write_file(scratch.file("d/inside"), "x");
  ASSERT_TRUE(files.exchange(scratch.file("a"), scratch.file("d")));
  EXPECT_EQ(test::read_file(scratch.file("a/inside")), "x");
  files.remove_all(scratch.file("d"));
  files.remove_all(scratch.file("d"));
  EXPECT_EQ(test::list_directory(scratch.path()), std::vector<std::string>{"a"});
  const FileSystem old_kind({}, false);
  EXPECT_FALSE(old_kind.exchange(scratch.file("a"), scratch.file("a")));
}

TEST(FileSystem, SaysWhatTheSystemRefused) {
  const ScratchDirectory scratch;
  const FileSystem files;
  const auto in_missing = message_of<core::Error>([&] { files.write_file(scratch.file("no/file"), "x"); });
  EXPECT_EQ(in_missing, "[io] cannot create " + scratch.file("no/file") + ": No such file or directory");
  const auto full = message_of<core::Error>([&] { files.write_file("/dev/full", "x"); });
  EXPECT_EQ(full, "[io] cannot write /dev/full: No space left on device");
  test::write_file(scratch.file("a"), "");
  for (const std::string& path : {scratch.file("a"), scratch.file("a/b")}) {
    const auto no_directory = message_of<core::Error>([&] { files.check_writable(path); });
    EXPECT_EQ(no_directory, "[io] cannot make the directory " + scratch.file("a") + ": Not a directory");
  }
  test::write_file(scratch.file("large"), std::string(100, 'x'));
  const auto large = message_of<core::UserError>([&] { (void)read_text_file(scratch.file("large"), 99); });
  EXPECT_NE(large.find("larger than 99 bytes"), std::string::npos) << large;
  EXPECT_EQ(read_text_file(scratch.file("large"), 100).size(), 100U);
}

TEST(FileSystem, NamesNeighbours) {
  EXPECT_EQ(temporary_name("a/b"), "a/.tmp-b");
  EXPECT_EQ(temporary_name("b"), ".tmp-b");
  EXPECT_EQ(parent_directory("a/b"), "a");
  EXPECT_EQ(parent_directory("b"), ".");
}

TEST(Convert, ReadsEveryHalfExactly) {
  EXPECT_EQ(fp16_to_float(0x3C00), 1.0F);
  EXPECT_EQ(fp16_to_float(0xC000), -2.0F);
  EXPECT_EQ(fp16_to_float(0x7BFF), 65504.0F);
  EXPECT_EQ(fp16_to_float(0x0001), 0x1p-24F);
  EXPECT_EQ(fp16_to_float(0x03FF), 0x3FFp-24F);
  EXPECT_EQ(fp16_to_float(0x8001), -0x1p-24F);
  EXPECT_TRUE(std::signbit(fp16_to_float(0x8000)));
  EXPECT_EQ(fp16_to_float(0x7C00), HUGE_VALF);
  EXPECT_EQ(fp16_to_float(0xFC00), -HUGE_VALF);
  EXPECT_TRUE(std::isnan(fp16_to_float(0x7E01)));
  for (std::uint32_t bits = 0; bits < 0x7C00; ++bits) {
    const std::uint32_t exponent = bits >> 10U;
    const double fraction = static_cast<double>(bits & 0x3FFU) / 1024.0;
    const double expected =
        exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1.0 + fraction, static_cast<int>(exponent) - 15);
    ASSERT_EQ(static_cast<double>(fp16_to_float(static_cast<std::uint16_t>(bits))), expected) << bits;
  }
}

TEST(Convert, ConvertsBetweenTheTypes) {
  const std::vector<float> fp32{1.0F, 1.00390625F, -3.5F, 0x1p-24F};
  std::vector<std::uint16_t> bf16(4);
  convert_elements(core::DType::kFloat32, fp32.data(), core::DType::kBFloat16, bf16.data(), 4);
  for (std::size_t i = 0; i < fp32.size(); ++i) {
    EXPECT_EQ(bf16[i], core::float_to_bf16(fp32[i]));
  }
  std::vector<float> back(4);
  convert_elements(core::DType::kBFloat16, bf16.data(), core::DType::kFloat32, back.data(), 4);
  EXPECT_EQ(back, (std::vector<float>{1.0F, 1.0F, -3.5F, 0x1p-24F}));

  const std::vector<std::uint16_t> fp16{0x3C01, 0x0001};
  convert_elements(core::DType::kFloat16, fp16.data(), core::DType::kFloat32, back.data(), 2);
  EXPECT_EQ(back[0], 1.0009765625F);
  convert_elements(core::DType::kFloat16, fp16.data(), core::DType::kBFloat16, bf16.data(), 2);
  EXPECT_EQ(bf16[0], 0x3F80);  // 1 + 2^-10 rounds to 1
  EXPECT_EQ(core::bf16_to_float(bf16[1]), 0x1p-24F);
  EXPECT_THROW(convert_elements(core::DType::kFloat32, fp32.data(), core::DType::kFloat16, bf16.data(), 1),
               core::Error);
}

TEST(Convert, NeedsNoAlignment) {
  std::vector<std::byte> bytes(9);
  const float value = 2.5F;
  std::memcpy(bytes.data() + 1, &value, sizeof(value));
  std::vector<std::byte> target(3);
  convert_elements(core::DType::kFloat32, bytes.data() + 1, core::DType::kBFloat16, target.data() + 1, 1);
  std::uint16_t bits = 0;
  std::memcpy(&bits, target.data() + 1, sizeof(bits));
  EXPECT_EQ(core::bf16_to_float(bits), 2.5F);
}

}  // namespace
}  // namespace tessera::io
