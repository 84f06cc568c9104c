#include "tessera/checkpoint/restore.hpp"

#include "checkpoint/view_memory.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/scale_blocks.hpp"
#include "tessera/io/convert.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

namespace tessera::checkpoint {
namespace {

using core::DType;
using core::UserError;
using state::Component;

constexpr std::size_t kMostNames = 20;  // in one message

// Everything that stands between the checkpoint and the run, one line each.
std::vector<std::string> find_mismatches(const Reader& reader, const state::StateDescription& wanted) {
  std::vector<std::string> lines;
  std::set<std::string> known;
  for (const state::TensorInfo& tensor : wanted.tensors) {
    known.insert(tensor.parameter);
    const std::string name = tensor.parameter + "/" + state::name_of(tensor.component);
    const StoredTensor* const source = find_source(reader, tensor.parameter, tensor.component, tensor.dtype);
    if (source == nullptr) {
      lines.push_back("missing: " + name);
    } else if (source->info.shape != tensor.shape) {
      lines.push_back(fmt::format("of another shape: {} is [{}], this run has [{}]", name,
                                  fmt::join(source->info.shape, ", "), fmt::join(tensor.shape, ", ")));
    }
  }
  std::set<std::string> reported;
  for (const StoredTensor& tensor : reader.tensors()) {
    if (!known.contains(tensor.info.parameter) && reported.insert(tensor.info.parameter).second) {
      lines.push_back("unexpected: " + tensor.info.parameter);
    }
  }
  return lines;
}

void check_match(const Reader& reader, const state::StateDescription& wanted) {
  std::vector<std::string> lines = find_mismatches(reader, wanted);
  if (lines.empty()) {
    return;
  }
  const std::size_t num_lines = lines.size();
  if (num_lines > kMostNames) {
    lines.resize(kMostNames);
    lines.push_back(fmt::format("and {} more", num_lines - kMostNames));
  }
  core::fail<UserError>("checkpoint",
                        "{} is of another model than this run; use the same model flags, or another "
                        "checkpoint:\n  {}",
                        reader.path(), fmt::join(lines, "\n  "));
}

// Fills views piece by piece through host buffers, converting where the types differ.
class Filler {
 public:
  Filler(const Reader& reader, const MemoryCopier& copier) : reader_(reader), memory_(copier) {}

  void fill(const state::StateView& view) {
    const StoredTensor& source = *find_source(reader_, view.parameter, view.component, view.dtype);
    for (std::int64_t begin = view.begin; begin < view.end;) {
      // Pieces end where stored ranges do, so that each range is read once, or where a block of codes does.
      std::int64_t end = end_of_range(source, begin);
      if (view.scales != nullptr) {
        end = view.begin + core::num_scale_blocks(end - view.begin) * core::kScaleBlock;
      }
      end = std::min(view.end, end);
      fill_piece(view, source, begin, end);
      begin = end;
    }
  }

 private:
  static std::int64_t end_of_range(const StoredTensor& source, std::int64_t begin) {
    return std::ranges::upper_bound(source.ranges, begin, {}, &StoredRange::end)->end;
  }

  void fill_piece(const state::StateView& view, const StoredTensor& source, std::int64_t begin, std::int64_t end) {
    const auto count = static_cast<std::size_t>(end - begin);
    const bool converts = view.dtype != source.info.dtype;
    std::byte* const target = memory_.in_place(view, begin);
    if (!converts && target != nullptr) {
      reader_.read(source, begin, end, target);
      return;
    }
    stored_.resize(count * core::size_of(source.info.dtype));
    reader_.read(source, begin, end, stored_.data());
    const std::byte* values = stored_.data();
    if (converts) {
      converted_.resize(count * core::size_of(view.dtype));
      io::convert_elements(source.info.dtype, stored_.data(), view.dtype, converted_.data(), count);
      values = converted_.data();
    }
    memory_.write(view, begin, end, values);
  }

  const Reader& reader_;
  ViewMemory memory_;
  std::vector<std::byte> stored_;
  std::vector<std::byte> converted_;
};

}  // namespace

const StoredTensor* find_source(const Reader& reader, std::string_view parameter, Component component, DType dtype) {
  const StoredTensor* const stored = reader.find(parameter, component);
  if (stored != nullptr && stored->info.dtype == dtype) {
    return stored;
  }
  if (component != Component::kWeight && component != Component::kMaster) {
    return state::is_moment(component) ? stored : nullptr;
  }
  const StoredTensor* const weight = reader.find(parameter, Component::kWeight);
  const StoredTensor* const master = reader.find(parameter, Component::kMaster);
  // The fp32 values, where there are any: exact for fp32, and rounded once for bf16.
  return master != nullptr ? master : weight;
}

state::RunState restore(const std::string& checkpoint, const state::StateDescription& state,
                        const topology::Group& group, const MemoryCopier& copier) {
  state::RunState run;
  const Reader reader = Reader::open_shared(checkpoint, group, group.split_by_node());
  group.agree([&] {
    check_match(reader, state);
    Filler filler(reader, copier);
    for (const state::StateView& view : state.mine) {
      filler.fill(view);
    }
    run = reader.run_state();
  });
  return run;
}

}  // namespace tessera::checkpoint
