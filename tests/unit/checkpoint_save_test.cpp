#include "checkpoint/limits.hpp"
#include "support/sample_state.hpp"
#include "support/scratch.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/checkpoint/restore.hpp"
#include "tessera/checkpoint/run_state_json.hpp"
#include "tessera/checkpoint/save.hpp"
#include "tessera/core/error.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

namespace tessera::checkpoint {
namespace {

using core::DType;
using state::Component;
using test::message_of;
using test::SampleState;
using test::ScratchDirectory;

SaveRequest request_of(const std::string& run_dir, const SampleState& state, const std::string& name, int step = 17) {
  SaveRequest request;
  request.run_dir = run_dir;
  request.name = name;
  request.state = state.description();
  request.run = test::sample_run(step);
  return request;
}

std::string save_sample(const ScratchDirectory& scratch, const SampleState::Options& options = {}) {
  const SampleState state(0, 1, options);
  return save(request_of(scratch.file("run"), state, "3")).path;
}

TEST(Save, LeavesAWholeCheckpointAndNothingElse) {
  const ScratchDirectory scratch;
  const SampleState state(0, 1, {});
  const SaveResult result = save(request_of(scratch.file("run"), state, "step-40"));
  EXPECT_EQ(result.path, scratch.file("run/checkpoint-step-40"));
  EXPECT_EQ(test::list_directory(scratch.file("run")), (std::vector<std::string>{"checkpoint-step-40", "latest"}));
  EXPECT_EQ(test::read_file(scratch.file("run/latest")), "checkpoint-step-40\n");
  EXPECT_EQ(test::list_directory(result.path), (std::vector<std::string>{"manifest.json", "state.h5"}));
  const Reader reader(result.path);
  EXPECT_EQ(reader.num_bytes(), result.bytes);
  EXPECT_EQ(to_json(reader.run_state()), to_json(test::sample_run(17)));
  EXPECT_EQ(reader.tensors().size(), state.description().tensors.size());
  EXPECT_TRUE(reader.verify({.num_threads = 3}).empty());
}

TEST(Save, NamesDirectories) {
  EXPECT_EQ(checkpoint_directory_name("3"), "checkpoint-3");
  EXPECT_EQ(checkpoint_directory_name("checkpoint-best"), "checkpoint-best");
  EXPECT_THROW((void)checkpoint_directory_name(""), core::Error);
  EXPECT_THROW((void)checkpoint_directory_name("a/b"), core::Error);
}

TEST(Save, IsTheSameForTheSameState) {
  const ScratchDirectory scratch;
  const SampleState state(0, 1, {});
  SaveRequest request = request_of(scratch.file("one"), state, "3");
  request.created = "2026-01-31T12:00:00Z";
  const std::string first = save(request).path;
  request.run_dir = scratch.file("two");
  const std::string second = save(request).path;
  EXPECT_TRUE(test::read_file(first + "/state.h5") == test::read_file(second + "/state.h5"));
  EXPECT_TRUE(test::read_file(first + "/manifest.json") == test::read_file(second + "/manifest.json"));
}

TEST(Save, CopiesThroughTheMemoryCopier) {
  const ScratchDirectory scratch;
  SampleState state(0, 1, {});
  std::size_t copied = 0;
  SaveRequest request = request_of(scratch.file("run"), state, "3");
  request.copier.to_host = [&](void* host, const void* device, std::size_t bytes) {
    std::memcpy(host, device, bytes);
    copied += bytes;
  };
  const std::string path = save(request).path;
  std::size_t total = 0;
  for (const auto& view : state.description().mine) {
    total += static_cast<std::size_t>(view.num_bytes());
  }
  EXPECT_EQ(copied, total);
  state.clear();
  const MemoryCopier copier{{}, [&](void* device, const void* host, std::size_t bytes) {
                              std::memcpy(device, host, bytes);
                              copied -= bytes;
                            }};
  restore(path, state.description(), topology::Group::self(), copier);
  EXPECT_EQ(copied, 0U);
  EXPECT_EQ(state.find_difference(), "");
}

// More than one piece of one tensor, and pieces that do not end with rows.
TEST(Save, CutsLargeTensorsIntoPieces) {
  const ScratchDirectory scratch;
  constexpr std::int64_t kRows = 2100;
  constexpr std::int64_t kColumns = 4099;
  std::vector<float> values(kRows * kColumns);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i % 16777213);
  }
  SaveRequest request;
  request.run_dir = scratch.file("run");
  request.name = "1";
  request.state.tensors = {{"large", Component::kWeight, DType::kFloat32, {kRows, kColumns}}};
  request.state.mine = {
      {"large", Component::kWeight, DType::kFloat32, {kRows, kColumns}, 0, kRows * kColumns, values.data()}};
  const Reader reader(save(request).path);
  const StoredTensor& tensor = reader.tensors()[0];
  EXPECT_EQ(tensor.ranges.size(), 3U);
  std::vector<float> part(9000000 - 1234567);
  reader.read(tensor, 1234567, 8000000, part.data());
  EXPECT_EQ(std::memcmp(part.data(), values.data() + 1234567, (8000000 - 1234567) * sizeof(float)), 0);
}

TEST(Save, RefusesStatesThatDoNotFitTogether) {
  const ScratchDirectory scratch;
  const auto refusal = [&](const std::function<void(state::StateDescription&)>& change) {
    const SampleState state(0, 1, {});
    SaveRequest request = request_of(scratch.file("run"), state, "3");
    change(request.state);
    return message_of<core::AgreedError>([&] { save(request); });
  };
  EXPECT_NE(refusal([](auto& state) {
              state.mine.pop_back();
            }).find("do not make up the tensors: classifier.bias/exp_avg_sq"),
            std::string::npos);
  EXPECT_NE(refusal([](auto& state) { state.mine.push_back(state.mine[0]); }).find("where one from"),
            std::string::npos);
  EXPECT_NE(refusal([](auto& state) { state.mine[0].parameter = "other"; }).find("not among the tensors"),
            std::string::npos);
  EXPECT_NE(refusal([](auto& state) { state.mine[0].end += 1; }).find("is not inside it"), std::string::npos);
  EXPECT_NE(refusal([](auto& state) { state.tensors[0].parameter = "a/b"; }).find("cannot be the name"),
            std::string::npos);
  EXPECT_NE(refusal([](auto& state) { state.tensors.push_back(state.tensors[0]); }).find("described twice"),
            std::string::npos);
  EXPECT_NE(refusal([](auto& state) { state.tensors[0].dtype = DType::kFloat16; }).find("not fp16"), std::string::npos);
  EXPECT_TRUE(!std::filesystem::exists(scratch.file("run")) || test::list_directory(scratch.file("run")).empty());
}

TEST(Save, SaysWhyADirectoryCannotBeWritten) {
  const ScratchDirectory scratch;
  test::write_file(scratch.file("file"), "");
  const SampleState state(0, 1, {});
  const auto message = message_of<core::AgreedError>([&] { save(request_of(scratch.file("file/run"), state, "3")); });
  EXPECT_NE(message.find("cannot make the directory"), std::string::npos) << message;
  EXPECT_NE(message.find("Not a directory"), std::string::npos) << message;
}

TEST(Restore, FillsTheSameState) {
  for (const DType weight : {DType::kBFloat16, DType::kFloat32}) {
    const ScratchDirectory scratch;
    const std::string path = save_sample(scratch, {.weight = weight});
    SampleState state(0, 1, {.weight = weight});
    state.clear();
    EXPECT_NE(state.find_difference(), "");
    const state::RunState run = restore(path, state.description(), topology::Group::self(), {});
    EXPECT_EQ(state.find_difference(), "");
    EXPECT_EQ(to_json(run), to_json(test::sample_run(17)));
  }
}

// tests/data/checkpoints has one of each version of the format, by `mpirun -np 2 checkpoint_kill_worker DIR 0 99999
// plain` of its time: the sample state with salt 1.
TEST(Restore, ReadsEveryVersionThatEverWas) {
  int num_versions = 0;
  for (const auto& entry : std::filesystem::directory_iterator(TESSERA_TEST_DATA "/checkpoints")) {
    const std::string path = entry.path();
    SCOPED_TRACE(path);
    ++num_versions;
    EXPECT_TRUE(Reader(path).verify().empty());
    SampleState state(0, 1, {.salt = 1});
    state.clear();
    const state::RunState run = restore(path, state.description(), topology::Group::self(), {});
    EXPECT_EQ(state.find_difference(), "");
    EXPECT_EQ(run.global_step, 1);
    EXPECT_EQ(run.dataset, test::sample_run(1).dataset);
    EXPECT_EQ(run.world_size, test::sample_run(1).world_size);
    EXPECT_EQ(run.optimizer, "adamw");
  }
  EXPECT_EQ(num_versions, kFormatVersion) << "a new version needs a file of its own here";
}

TEST(Restore, DerivesWeightsAndMastersFromEachOther) {
  const ScratchDirectory scratch;
  for (const DType stored : {DType::kBFloat16, DType::kFloat32}) {
    const std::string path = save_sample(scratch, {.weight = stored});
    const DType other = stored == DType::kFloat32 ? DType::kBFloat16 : DType::kFloat32;
    SampleState state(0, 1, {.weight = other});
    state.clear();
    restore(path, state.description(), topology::Group::self(), {});
    EXPECT_EQ(state.find_difference(), "");
  }
}

TEST(Restore, ConvertsMoments) {
  const ScratchDirectory scratch;
  SampleState narrow(0, 1, {.moments = DType::kBFloat16});
  narrow.clear();
  restore(save_sample(scratch, {}), narrow.description(), topology::Group::self(), {});
  EXPECT_EQ(narrow.find_difference(), "") << "each rounded to nearest even";
  const std::string path = save_sample(scratch, {.moments = DType::kBFloat16});
  EXPECT_EQ(Reader(path).find("classifier.bias", Component::kExpAvg)->info.dtype, DType::kBFloat16);
  narrow.clear();
  restore(path, narrow.description(), topology::Group::self(), {});
  EXPECT_EQ(narrow.find_difference(), "");
  const SampleState wide(0, 1, {});
  restore(path, wide.description(), topology::Group::self(), {});
  for (const state::StateView& view : wide.description().mine) {
    if (state::is_moment(view.component)) {
      const float value = test::sample_value({view.parameter, view.component, view.dtype, {}}, view.begin, 0);
      EXPECT_EQ(*static_cast<const float*>(view.data), core::bf16_to_float(core::float_to_bf16(value)));
    }
  }
}

// A checkpoint has what the codes stand for; the codes come back from it.
TEST(Restore, KeepsMomentsIn8BitsAndConvertsThem) {
  const ScratchDirectory scratch;
  SampleState coded(0, 1, {.coded_moments = true});
  std::size_t copied = 0;
  SaveRequest request = request_of(scratch.file("run"), coded, "3");
  request.copier.to_host = [&](void* host, const void* device, std::size_t bytes) {
    std::memcpy(host, device, bytes);
    copied += bytes;
  };
  const std::string path = save(request).path;
  std::size_t kept = 0;
  for (const auto& view : coded.description().mine) {
    kept += static_cast<std::size_t>(view.num_bytes());
  }
  EXPECT_EQ(copied, kept);
  EXPECT_EQ(Reader(path).find("classifier.bias", Component::kExpAvg)->info.dtype, DType::kFloat32);
  coded.clear();
  restore(path, coded.description(), topology::Group::self(), {});
  EXPECT_EQ(coded.find_difference(), "");
  const SampleState wide(0, 1, {});
  restore(path, wide.description(), topology::Group::self(), {});
  const auto again = save(request_of(scratch.file("wide"), wide, "3")).path;
  coded.clear();
  restore(again, coded.description(), topology::Group::self(), {});
  EXPECT_EQ(coded.find_difference(), "") << "fp32 and back changes nothing";
  SampleState whole(0, 1, {});
  coded.clear();
  restore(save(request_of(scratch.file("whole"), whole, "3")).path, coded.description(), topology::Group::self(), {});
  EXPECT_EQ(coded.find_difference(), "") << "from fp32, to the nearest codes";
}

// Ranges that end within a block, as other writers may make them.
TEST(Restore, ReadsWholeBlocksOfWhateverRanges) {
  const ScratchDirectory scratch;
  SampleState pieces(0, 1, {});
  auto& views = pieces.description().mine;
  const auto whole = std::ranges::find_if(views, [](const state::StateView& view) {
    return view.component == Component::kExpAvg && view.num_elements() > 400;
  });
  ASSERT_NE(whole, views.end());
  state::StateView rest = *whole;
  whole->end = rest.begin = 100;
  rest.data = static_cast<float*>(rest.data) + 100;
  views.push_back(rest);
  const std::string path = save(request_of(scratch.file("run"), pieces, "3")).path;
  SampleState coded(0, 1, {.coded_moments = true});
  coded.clear();
  const MemoryCopier copier{
      {}, [](void* device, const void* host, std::size_t bytes) { std::memcpy(device, host, bytes); }};
  restore(path, coded.description(), topology::Group::self(), copier);
  EXPECT_EQ(coded.find_difference(), "");
}

TEST(Restore, NeedsNoMoreThanIsAsked) {
  const ScratchDirectory scratch;
  const std::string path = save_sample(scratch);
  SampleState state(0, 1, {.only_weights = true});
  state.clear();
  restore(path, state.description(), topology::Group::self(), {});
  EXPECT_EQ(state.find_difference(), "");
}

TEST(Restore, ListsEveryDifferenceFromTheModel) {
  const ScratchDirectory scratch;
  const std::string path = save_sample(scratch, {.only_weights = true});
  SampleState state(0, 1, {.only_weights = true});
  auto& tensors = state.description().tensors;
  tensors[0].shape = {7, 3, 5, 4};
  tensors[4].parameter = "classifier.other";
  tensors.push_back({"classifier.weight", Component::kExpAvg, DType::kFloat32, {10, 17}});
  const auto message =
      message_of<core::UserError>([&] { restore(path, state.description(), topology::Group::self(), {}); });
  EXPECT_EQ(message,
            "[checkpoint] " + path +
                " is of another model than this run; use the same model flags, or another checkpoint:\n"
                "  of another shape: patch_embed.proj.weight/weight is [7, 3, 4, 5], this run has [7, 3, 5, 4]\n"
                "  missing: classifier.other/weight\n"
                "  missing: classifier.weight/exp_avg\n"
                "  unexpected: classifier.bias");
}

}  // namespace
}  // namespace tessera::checkpoint
