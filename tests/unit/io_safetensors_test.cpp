#include "support/scratch.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/philox.hpp"
#include "tessera/io/safetensors.hpp"
#include "tessera/io/safetensors_writer.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

namespace tessera::io {
namespace {

using test::message_of;
using test::ScratchDirectory;

// A file's bytes from its header and its data.
std::string file_of(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  std::string bytes(sizeof(length), '\0');
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes + header + data;
}

SafetensorsContents parse(const std::string& bytes) {
  return parse_safetensors(std::as_bytes(std::span(bytes.data(), bytes.size())), "model.safetensors");
}

std::string refusal(const std::string& bytes) {
  return message_of<core::UserError>([&] { (void)parse(bytes); });
}

std::string refusal(const std::string& header, std::size_t data_bytes) {
  return refusal(file_of(header, std::string(data_bytes, 'd')));
}

const std::string kGoodHeader =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},)"
    R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"none":{"dtype":"I64","shape":[0,7],"data_offsets":[16,16]}})";

TEST(Safetensors, ReadsAFile) {
  const std::string bytes = file_of(kGoodHeader, "aaaabbbbbbbbbbbb");
  const SafetensorsContents contents = parse(bytes);
  ASSERT_EQ(contents.tensors.size(), 3U);
  EXPECT_EQ(contents.metadata.at("format"), "pt");
  const SafetensorsTensor& scalar = contents.tensors[0];
  EXPECT_EQ(scalar.name, "a");
  EXPECT_TRUE(scalar.shape.empty());
  EXPECT_EQ(scalar.num_elements, 1);
  EXPECT_EQ(scalar.element_type(), core::DType::kFloat32);
  const SafetensorsTensor& matrix = contents.tensors[1];
  EXPECT_EQ(matrix.shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(matrix.bytes.size(), 12U);
  EXPECT_EQ(static_cast<char>(matrix.bytes[0]), 'b');
  EXPECT_EQ(contents.tensors[2].num_elements, 0);
  EXPECT_FALSE(contents.tensors[2].element_type().has_value());
  EXPECT_TRUE(parse(file_of("{}      ", "")).tensors.empty());
}

TEST(Safetensors, RefusesWhatIsNoSafetensorsFile) {
  EXPECT_NE(refusal("short").find("5 bytes are too few"), std::string::npos);
  EXPECT_NE(refusal(std::string(16, '\xFF')).find("more than the 100000000 allowed"), std::string::npos);
  EXPECT_NE(refusal(file_of("[1]", "")).find("does not begin with '{'"), std::string::npos);
  EXPECT_NE(refusal("{\"a\":", 0).find("not JSON"), std::string::npos);
  EXPECT_NE(refusal("{\"a\":[1]}", 0).find("entry 'a' is not an object"), std::string::npos);
  EXPECT_NE(refusal(R"({"__metadata__":{"n":1}})", 0).find("'n' in __metadata__ is not text"), std::string::npos);
}

TEST(Safetensors, SaysHowMuchOfATruncatedFileIsThere) {
  const std::string whole = file_of(kGoodHeader, "aaaabbbbbbbbbbbb");
  const std::string in_header = refusal(whole.substr(0, 40));
  EXPECT_NE(in_header.find("truncated"), std::string::npos) << in_header;
  EXPECT_NE(in_header.find(std::to_string(kGoodHeader.size() + 8)), std::string::npos) << in_header;
  const std::string in_data = refusal(whole.substr(0, whole.size() - 1));
  EXPECT_NE(in_data.find("tensor 'b' ends at byte 16 of the data, of which there are 15"), std::string::npos)
      << in_data;
}

TEST(Safetensors, RefusesEveryCutOfAFile) {
  const std::string whole = file_of(kGoodHeader, "aaaabbbbbbbbbbbb");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW((void)parse(whole.substr(0, size)), core::UserError) << size;
  }
  EXPECT_NE(refusal(whole + "x").find("cover 16 bytes of the 17"), std::string::npos);
}

TEST(Safetensors, RefusesWrongEntriesByName) {
  const auto entry = [](const std::string& body) { return "{\"w\":{" + body + "}}"; };
  const std::string overflow = R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4])";
  EXPECT_NE(refusal(entry(R"("shape":[1],"data_offsets":[0,4])"), 4).find("'w' has no 'dtype'"), std::string::npos);
  EXPECT_NE(refusal(entry(R"("dtype":"F33","shape":[1],"data_offsets":[0,4])"), 4).find("unknown dtype 'F33'"),
            std::string::npos);
  EXPECT_NE(refusal(entry(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), 4).find("whole numbers from 0"),
            std::string::npos);
  EXPECT_NE(refusal(entry(R"("dtype":"F32","shape":[1.5],"data_offsets":[0,4])"), 4).find("whole numbers from 0"),
            std::string::npos);
  EXPECT_NE(refusal(entry(overflow), 4).find("larger than any file"), std::string::npos);
  EXPECT_NE(refusal(entry(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), 4).find("ends at byte 0, before"),
            std::string::npos);
  EXPECT_NE(refusal(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), 4).find("has 4 bytes, but"),
            std::string::npos);
  EXPECT_NE(refusal(entry(R"("dtype":"F4","shape":[3],"data_offsets":[0,1])"), 1).find("whole byte"),
            std::string::npos);
  EXPECT_NE(refusal(entry(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), 8).find("begins at byte 4"),
            std::string::npos);
}

TEST(Safetensors, RefusesOverlapsHolesAndRepeatedNames) {
  const std::string overlap = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                              R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})";
  EXPECT_NE(refusal(overlap, 12).find("tensor 'b' begins at byte 4 of the data, but 8 are taken"), std::string::npos);
  const std::string twice = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                            R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  EXPECT_NE(refusal(twice, 4).find("names 'a' twice"), std::string::npos);
}

TEST(Safetensors, RefusesDeepNestingWithoutRunningOutOfStack) {
  constexpr std::size_t kDepth = 1000000;
  const std::string nested = "{\"a\":" + std::string(kDepth, '[') + std::string(kDepth, ']') + "}";
  EXPECT_NE(refusal(nested, 0).find("entry 'a' is not an object"), std::string::npos);
}

// Damage of every kind must be refused or read, never crash: a fuzzer small enough for every run of the tests.
TEST(Safetensors, SurvivesDamage) {
  const std::string whole = file_of(kGoodHeader, "aaaabbbbbbbbbbbb");
  int refused = 0;
  constexpr std::uint64_t kRounds = 20000;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    std::string bytes = whole;
    const core::Philox4 random = core::philox(1, round, 0);
    const std::size_t num_changes = 1 + random.value[0] % 3;
    for (std::size_t i = 0; i < num_changes; ++i) {
      const core::Philox4 change = core::philox(2, round, i);
      bytes[change.value[0] % bytes.size()] = static_cast<char>(change.value[1] & 0xFFU);
    }
    try {
      (void)parse(bytes);
    } catch (const core::UserError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, static_cast<int>(kRounds) / 2);
}

// What the fuzzer starts from, and what it once found.
TEST(Safetensors, SurvivesTheFuzzersCorpus) {
  int refused = 0;
  int read = 0;
  for (const auto& entry : std::filesystem::directory_iterator(TESSERA_TEST_DATA "/fuzz/safetensors")) {
    try {
      (void)parse(test::read_file(entry.path().string()));
      ++read;
    } catch (const core::UserError&) {
      ++refused;
    }
  }
  EXPECT_GE(read, 2);
  EXPECT_GE(refused, 5);
}

TEST(SafetensorsReader, ReadsRangesInAnotherType) {
  const ScratchDirectory scratch;
  const std::vector<float> values{1.0F, 2.0F, 3.0F, 4.0F};
  SafetensorsWriter writer(scratch.file("m.safetensors"), {{"w", core::DType::kFloat32, {2, 2}}}, {});
  writer.write(std::as_bytes(std::span(values)));
  writer.finish();
  const SafetensorsReader reader(scratch.file("m.safetensors"));
  const SafetensorsTensor* const tensor = reader.find("w");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(reader.find("v"), nullptr);
  std::vector<float> fp32(2);
  read_elements(*tensor, 1, 3, core::DType::kFloat32, fp32.data());
  EXPECT_EQ(fp32, (std::vector<float>{2.0F, 3.0F}));
  std::uint16_t bf16 = 0;
  read_elements(*tensor, 3, 4, core::DType::kBFloat16, &bf16);
  EXPECT_EQ(core::bf16_to_float(bf16), 4.0F);
  EXPECT_THROW(read_elements(*tensor, 3, 5, core::DType::kFloat32, fp32.data()), core::Error);

  test::write_file(scratch.file("i.safetensors"),
                   file_of(R"({"ids":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})", std::string(8, '\0')));
  const SafetensorsReader integers(scratch.file("i.safetensors"));
  const auto message = message_of<core::UserError>(
      [&] { read_elements(*integers.find("ids"), 0, 1, core::DType::kFloat32, fp32.data()); });
  EXPECT_NE(message.find("'ids' is of type I64"), std::string::npos) << message;
}

TEST(SafetensorsReader, ReadsADirectoryWithAnIndex) {
  const ScratchDirectory scratch;
  const auto shard = [](const std::string& name, char fill) {
    return file_of("{\"" + name + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", std::string(4, fill));
  };
  test::write_file(scratch.file("model-00001-of-00002.safetensors"), shard("a", 'a'));
  test::write_file(scratch.file("model-00002-of-00002.safetensors"), shard("b", 'b'));
  const std::string index = scratch.file("model.safetensors.index.json");
  const auto open = [&] { const SafetensorsReader reader(scratch.path()); };
  EXPECT_NE(message_of<core::UserError>(open).find("has neither"), std::string::npos);
  test::write_file(index, R"({"metadata":{"total_size":8},"weight_map":{"a":"model-00001-of-00002.safetensors",)"
                          R"("b":"model-00002-of-00002.safetensors"}})");
  const SafetensorsReader reader(scratch.path());
  ASSERT_EQ(reader.tensors().size(), 2U);
  EXPECT_EQ(static_cast<char>(reader.find("b")->bytes[0]), 'b');

  test::write_file(index, R"({"weight_map":{"a":"model-00002-of-00002.safetensors"}})");
  EXPECT_NE(
      message_of<core::UserError>(open).find("tensor 'a' is in model-00002-of-00002.safetensors, where it is not"),
      std::string::npos);
  test::write_file(index, R"({"weight_map":{"a":"model-00003.safetensors"}})");
  EXPECT_NE(message_of<core::UserError>(open).find("names the shard model-00003.safetensors"), std::string::npos);
  test::write_file(index, R"({"weight_map":{"a":"../model-00002-of-00002.safetensors"}})");
  EXPECT_NE(message_of<core::UserError>(open).find("must lie beside the index"), std::string::npos);
  test::write_file(index, R"({"weight_map":[]})");
  EXPECT_NE(message_of<core::UserError>(open).find("no 'weight_map'"), std::string::npos);
  test::write_file(index, "{");
  EXPECT_NE(message_of<core::UserError>(open).find("is not JSON"), std::string::npos);
}

// Two tensors of which the first ends at an odd place, in pieces that are cut anywhere.
std::string write_example(const std::string& path) {
  std::string data(3 * 5 * 2 + 7 * 4, '\0');
  std::iota(data.begin(), data.end(), '\x01');
  SafetensorsWriter writer(
      path,
      {{"patch_embed.proj.weight", core::DType::kBFloat16, {3, 5}}, {"classifier.bias", core::DType::kFloat32, {7}}},
      {{"format", "pt"}, {"note", "quotes \" and \\ stay"}});
  const auto bytes = std::as_bytes(std::span(data));
  for (std::size_t begin = 0; begin < bytes.size(); begin += 11) {
    writer.write(bytes.subspan(begin, std::min<std::size_t>(11, bytes.size() - begin)));
  }
  writer.finish();
  EXPECT_EQ(static_cast<std::uintmax_t>(writer.file_bytes()), std::filesystem::file_size(path));
  return data;
}

TEST(SafetensorsWriter, WritesWhatTheReaderReads) {
  const ScratchDirectory scratch;
  const std::string path = scratch.file("m.safetensors");
  const std::string data = write_example(path);
  const SafetensorsReader reader(path);
  ASSERT_EQ(reader.tensors().size(), 2U);
  EXPECT_EQ(reader.metadata().at("note"), "quotes \" and \\ stay");
  const SafetensorsTensor& first = reader.tensors()[0];
  EXPECT_EQ(first.name, "patch_embed.proj.weight");
  EXPECT_EQ(first.shape, (std::vector<std::int64_t>{3, 5}));
  EXPECT_EQ(std::memcmp(first.bytes.data(), data.data(), data.size()), 0);
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, test::read_file(path).data(), sizeof(header_bytes));
  EXPECT_EQ(header_bytes % 8, 0U);
}

TEST(SafetensorsWriter, LeavesNothingBehindUnlessFinished) {
  const ScratchDirectory scratch;
  {
    SafetensorsWriter writer(scratch.file("m.safetensors"), {{"w", core::DType::kFloat32, {2}}}, {});
    const std::vector<float> values(3);
    EXPECT_THROW(writer.write(std::as_bytes(std::span(values))), core::Error);
    writer.write(std::as_bytes(std::span(values.data(), 1)));
    EXPECT_THROW(writer.finish(), core::Error);
  }
  EXPECT_TRUE(test::list_directory(scratch.path()).empty());
  EXPECT_THROW(SafetensorsWriter(scratch.file("no/m.safetensors"), {}, {}), core::Error);
  EXPECT_THROW(
      SafetensorsWriter(scratch.file("m"), {{"w", core::DType::kFloat32, {2}}, {"w", core::DType::kFloat32, {2}}}, {}),
      core::Error);
}

TEST(SafetensorsWriter, IsReadByThePythonPackage) {
  if (!test::python_has("safetensors")) {
    GTEST_SKIP() << "python3 has no module named safetensors (pip install safetensors)";
  }
  const ScratchDirectory scratch;
  const std::string path = scratch.file("m.safetensors");
  const std::string data = write_example(path);
  const auto crc = [](const std::string& bytes) {
    std::array<char, 9> text{};
    const auto value = ::crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size()));
    std::snprintf(text.data(), text.size(), "%08lx", value);
    return std::string(text.data());
  };
  const auto result = test::run_command(test::python() + " " TESSERA_TEST_PYTHON "/read_safetensors.py " + path);
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_EQ(result.output, "classifier.bias F32 7 " + crc(data.substr(30)) + "\npatch_embed.proj.weight BF16 3x5 " +
                               crc(data.substr(0, 30)) + "\n");
}

}  // namespace
}  // namespace tessera::io
