// Files of torch.save: those that torch wrote, and those that nobody should have written.
#include "support/scratch.hpp"
#include "support/stored_zip.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/philox.hpp"
#include "tessera/io/torch_file.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

namespace tessera::io {
namespace {

using test::message_of;
using test::stored_zip;

const std::string kDdp = TESSERA_TEST_DATA "/deepspeed/ddp.pth";

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string torch_file(const std::string& pickle, const std::string& storage = "") {
  return stored_zip({{"archive/data.pkl", pickle}, {"archive/byteorder", "little"}, {"archive/data/0", storage}});
}

std::string refusal(const std::string& archive) {
  return message_of<core::UserError>([&] { TorchArchive(bytes_of(archive), "a.pth"); });
}

void expect_in(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in\n" << text;
}

std::string text(const std::string& value) {
  std::string size(4, '\0');
  const auto length = static_cast<std::uint32_t>(value.size());
  std::memcpy(size.data(), &length, 4);
  return "X" + size + value;
}

// The pickle of {"t": tensor} for a storage 0 of this many fp32, with these opcodes for offset, shape and strides.
std::string tensor_pickle(const std::string& count, const std::string& offset, const std::string& shape,
                          const std::string& strides) {
  return "\x80\x02}" + text("t") + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") +
         "ctorch\nFloatStorage\n" + text("0") + text("cpu") + count + "tQ" + offset + shape + strides +
         "\x89"
         "ccollections\nOrderedDict\n)RtRs.";
}

std::string tensor_refusal(const std::string& pickle) {
  const std::string bytes = torch_file(pickle, std::string(24, 'x'));
  return message_of<core::UserError>([&] {
    const TorchArchive archive(bytes_of(bytes), "a.pth");
    (void)archive.tensor(*archive.root().find("t"), "t");
  });
}

TEST(TorchFile, ReadsWhatTorchWrote) {
  const TorchFile file(kDdp);
  const TorchArchive& archive = file.archive();
  EXPECT_EQ(archive.root().find("epoch")->integer, 4);
  const PickleValue& model = *archive.root().find("model");
  const TorchTensor bias = archive.tensor(*model.find("classifier.bias"), "classifier.bias");
  EXPECT_EQ(bias.element_type(), core::DType::kFloat32);
  EXPECT_EQ(bias.shape, std::vector<std::int64_t>{10});
  EXPECT_EQ(bias.bytes.size(), 40U);
  const TorchTensor patches = archive.tensor(*model.find("patch_embed.proj.weight"), "patch_embed.proj.weight");
  EXPECT_EQ(patches.element_type(), core::DType::kBFloat16);
  EXPECT_EQ(patches.shape, (std::vector<std::int64_t>{8, 3, 4, 4}));
  const PickleValue& flags = *archive.root().find("args");
  ASSERT_TRUE(flags.is_call("argparse.Namespace"));
  EXPECT_EQ(flags.attributes->find("dataset")->text, "cifar10");
  EXPECT_DOUBLE_EQ(flags.attributes->find("blr")->real, 1e-3);
  EXPECT_TRUE(flags.attributes->find("clip_grad")->is(PickleKind::kNone));
  std::int64_t checked = 0;
  archive.verify([&](std::int64_t bytes) { checked += bytes; });
  EXPECT_EQ(checked, archive.num_bytes());
}

TEST(TorchFile, ReadsZip64) {
  const std::string pickle = tensor_pickle("K\x06", std::string("K\0", 2), "K\x02K\x03\x86", "K\x03K\x01\x86");
  for (const bool zip64 : {false, true}) {
    const std::string bytes = stored_zip({{"a/data.pkl", pickle}, {"a/data/0", std::string(24, 'x')}}, zip64);
    const TorchArchive archive(bytes_of(bytes), "a.pth");
    const TorchTensor tensor = archive.tensor(*archive.root().find("t"), "t");
    EXPECT_EQ(tensor.shape, (std::vector<std::int64_t>{2, 3}));
    EXPECT_EQ(static_cast<char>(tensor.bytes[23]), 'x');
    archive.verify([](std::int64_t) {});
  }
}

TEST(TorchFile, RunsNothing) {
  expect_in(refusal(torch_file("\x80\x02"
                               "cos\nsystem\n(" +
                               text("true") + "tR.")),
            "a.pth: the pickle asks for os.system, which is none of the tensors and plain containers");
  expect_in(refusal(torch_file("\x80\x04" + text("builtins") + text("eval") + "\x93.")), "builtins.eval");
  expect_in(refusal(torch_file("\x80\x02"
                               "ctorch\n_utils._rebuild_tensor_v2\nx.")),
            "opcode 0x78");
  expect_in(refusal(torch_file("\x80\x02"
                               "ctorch\nload\n.")),
            "torch.load");
  expect_in(refusal(torch_file("\x80\x02(ios\nsystem\n.")), "opcode 0x69");  // INST
  expect_in(refusal(torch_file("\x80\x02\x82\x01.")), "opcode 0x82");        // EXT1
  expect_in(refusal(torch_file("\x80\x02" + text("f") + ")R.")), "it calls what is no class");
}

TEST(TorchFile, RefusesDamagedPickles) {
  expect_in(refusal(torch_file("")), "truncated");
  expect_in(refusal(torch_file("(dp0\n.")), "no pickle of protocol 2");
  expect_in(refusal(torch_file("\x80\x06.")), "of protocol 6");
  expect_in(refusal(torch_file("\x80\x02.")), "more values than it has");
  expect_in(refusal(torch_file("\x80\x02}")), "truncated");
  expect_in(refusal(torch_file("\x80\x02h\x07.")), "did not keep");
  expect_in(refusal(torch_file("\x80\x02(N.")), "ends inside of a container");
  expect_in(refusal(torch_file("\x80\x02Nt.")), "did not begin");
  expect_in(refusal(torch_file("\x80\x02N(a.")), "more values than it has");
  expect_in(refusal(torch_file("\x80\x02NNa.")), "no list");
  expect_in(refusal(torch_file("\x80\x02}(Nu.")), "no dict");
  expect_in(refusal(torch_file("\x80\x02NNb.")), "no object");
  expect_in(refusal(torch_file("\x80\x02X\xff\xff\xff\xff.")), "4294967295 bytes are needed");
  expect_in(refusal(torch_file("\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xff.")), "are needed");
}

// Neither reading nor forgetting a nest of any depth, or one that contains itself, takes a stack.
TEST(TorchFile, SurvivesNestsAndCycles) {
  constexpr std::size_t kDeep = 1'000'000;
  const std::string deep = torch_file("\x80\x02" + std::string(kDeep, ']') + std::string(kDeep - 1, 'a') + ".");
  EXPECT_TRUE(TorchArchive(bytes_of(deep), "a.pth").root().is(PickleKind::kList));
  const std::string cycle = torch_file(std::string("\x80\x02]q\0h\0a.", 9));
  const TorchArchive archive(bytes_of(cycle), "a.pth");
  EXPECT_EQ(archive.root().items.at(0), &archive.root());
  const std::string many = torch_file("\x80\x02(" + std::string(4'000'001, 'N') + "t.");
  expect_in(refusal(many), "more than 4000000 values");
}

TEST(TorchFile, RefusesTensorsThatAreNotThere) {
  const std::string zero("K\0", 2);
  const std::string two_by_three = "K\x02K\x03\x86";
  const std::string rows = "K\x03K\x01\x86";
  EXPECT_EQ(tensor_refusal(tensor_pickle("K\x06", zero, two_by_three, rows)), "nothing was thrown");
  expect_in(tensor_refusal(tensor_pickle("K\x07", zero, two_by_three, rows)), "has 24 bytes, too few for 7");
  expect_in(tensor_refusal(tensor_pickle("K\x06", "K\x01", two_by_three, rows)), "larger than its storage of 6");
  expect_in(tensor_refusal(tensor_pickle("K\x06", "J\xff\xff\xff\xff", two_by_three, rows)), "larger than its storage");
  expect_in(tensor_refusal(tensor_pickle("J\xff\xff\xff\xff", zero, two_by_three, rows)), "too few");
  expect_in(tensor_refusal(tensor_pickle("K\x06", zero, two_by_three, "K\x01K\x02\x86")), "row-major");
  expect_in(tensor_refusal(tensor_pickle("K\x06", zero, two_by_three, "K\x01\x85")), "a shape that is none");
  expect_in(tensor_refusal(tensor_pickle("K\x06", zero, "J\xff\xff\xff\xffK\x03\x86", rows)), "a shape that is none");
  const std::string huge("\x8a\x08\0\0\0\0\0\0\0\x40", 10);  // 2^62
  expect_in(tensor_refusal(tensor_pickle("K\x06", zero, huge + huge + "\x86", rows)), "larger than its storage");
  expect_in(tensor_refusal(tensor_pickle("K\x06", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", two_by_three, rows)),
            "larger than its storage");
  std::string other_key = tensor_pickle("K\x06", zero, two_by_three, rows);
  other_key.replace(other_key.find(text("0")), 6, text("1"));
  expect_in(tensor_refusal(other_key), "archive/data/1 of t is not in the archive");
  expect_in(tensor_refusal("\x80\x02}" + text("t") + "K\x01s."), "t is no tensor");
}

TEST(Zip, RefusesWhatIsNone) {
  const std::string whole = torch_file("\x80\x02N.", "0123");
  EXPECT_EQ(refusal(whole), "nothing was thrown");
  expect_in(refusal(""), "is no zip archive");
  expect_in(refusal("PK\x03\x04"), "is no zip archive");
  expect_in(refusal(stored_zip({{"a/x", "1"}})), "not one of torch.save: it has no data.pkl");
  expect_in(refusal(stored_zip({{"a/x", "1"}, {"a/x", "2"}})), "'a/x' is in the archive twice");
  expect_in(refusal(stored_zip({{"a/data.pkl", "\x80\x02N."}, {"a/byteorder", "big"}})), "big-endian");
  const std::size_t entry = whole.find("PK\x01\x02");
  const auto with = [&](std::size_t position, const std::string& bytes) {
    return std::string(whole).replace(position, bytes.size(), bytes);
  };
  expect_in(refusal(with(entry + 10, "\x08")), "compressed or encrypted");
  expect_in(refusal(with(entry + 8, "\x01")), "compressed or encrypted");
  expect_in(refusal(with(entry + 20, "\xff\xff\xff\x7f\xff\xff\xff\x7f")), "truncated or damaged");
  expect_in(refusal(with(entry + 42, "\xff\xff\xff\x7f")), "truncated or damaged");
  expect_in(refusal(with(entry + 42, "\x01")), "has no header at byte 1");
  expect_in(refusal(with(whole.size() - 12, "\xff\x7f")), "the directory claims 32767 files");
  expect_in(refusal(with(whole.size() - 6, "\xff\xff\xff\x7f")), "truncated or damaged");
  expect_in(refusal(with(whole.size() - 6, "\xff\xff\xff\xff")), "ZIP64 record is missing");
}

TEST(Zip, KnowsItsChecksums) {
  std::string bytes = torch_file("\x80\x02N.", "0123");
  bytes[bytes.find("0123")] = '4';
  const TorchArchive archive(bytes_of(bytes), "a.pth");
  expect_in(message_of<core::UserError>([&] { archive.verify([](std::int64_t) {}); }),
            "a.pth: the bytes of archive/data/0 are not those that were saved");
}

// Every tensor that a file has, as a reader that trusts nothing would look at them.
void read_everything(const TorchArchive& archive) {
  const PickleValue* const model = archive.root().find("model");
  for (const PickleValue* container : {&archive.root(), model}) {
    for (std::size_t i = 0; container != nullptr && i < container->items.size(); ++i) {
      if (TorchArchive::is_tensor(*container->items[i])) {
        (void)archive.tensor(*container->items[i], "t");
      }
    }
  }
}

int count_refusals(const std::vector<std::string>& files) {
  int refused = 0;
  for (const std::string& bytes : files) {
    try {
      read_everything(TorchArchive(bytes_of(bytes), "a.pth"));
    } catch (const core::UserError&) {
      ++refused;
    }
  }
  return refused;
}

TEST(TorchFile, RefusesTruncatedFiles) {
  const std::string whole = test::read_file(kDdp);
  std::vector<std::string> files;
  for (std::size_t size = 0; size < whole.size(); size += 61) {
    files.push_back(whole.substr(0, size));
  }
  EXPECT_EQ(count_refusals(files), static_cast<int>(files.size()));
}

TEST(TorchFile, SurvivesDamage) {
  const std::string whole = torch_file(
      tensor_pickle("K\x06", std::string("K\0", 2), "K\x02K\x03\x86", "K\x03K\x01\x86"), std::string(24, 'x'));
  constexpr std::uint64_t kRounds = 20000;
  std::vector<std::string> files;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    std::string bytes = whole;
    for (std::uint64_t i = 0; i <= round % 3; ++i) {
      const core::Philox4 change = core::philox(3, round, i);
      bytes[change.value[0] % bytes.size()] = static_cast<char>(change.value[1] & 0xFFU);
    }
    files.push_back(std::move(bytes));
  }
  EXPECT_GT(count_refusals(files), static_cast<int>(kRounds) / 4);
}

// What the fuzzer starts from, and what it once found.
TEST(TorchFile, SurvivesTheFuzzersCorpus) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(TESSERA_TEST_DATA "/fuzz/torch_file")) {
    files.push_back(test::read_file(entry.path().string()));
  }
  const int refused = count_refusals(files);
  EXPECT_GE(refused, 2);
  EXPECT_GE(static_cast<int>(files.size()) - refused, 2);
}

}  // namespace
}  // namespace tessera::io
