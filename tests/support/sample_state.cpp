#include "support/sample_state.hpp"

#include "tessera/core/scale_blocks.hpp"
#include "tessera/core/split_float.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <numeric>

namespace tessera::test {
namespace {

using core::DType;
using state::Component;

struct Shape {
  const char* name;
  std::vector<std::int64_t> extents;
};

std::vector<Shape> sample_shapes() {
  return {{"patch_embed.proj.weight", {7, 3, 4, 5}},
          {"qwen.layers.0.self_attn.q_proj.weight", {24, 17}},
          {"qwen.layers.0.self_attn.q_norm.weight", {16}},
          {"classifier.weight", {10, 17}},
          {"classifier.bias", {10}}};
}

std::int64_t product(const std::vector<std::int64_t>& extents) {
  return std::accumulate(extents.begin(), extents.end(), std::int64_t{1}, std::multiplies<>());
}

std::size_t value_bytes(const state::StateView& view) {
  return static_cast<std::size_t>(view.num_elements()) * core::size_of(view.dtype);
}

std::vector<std::byte> sample_bytes(const state::StateView& view, int salt) {
  const state::TensorInfo tensor{view.parameter, view.component, view.dtype, view.global_shape};
  std::vector<std::byte> bytes(value_bytes(view));
  for (std::int64_t element = view.begin; element < view.end; ++element) {
    const float value = sample_value(tensor, element, salt);
    const std::uint16_t rounded = core::float_to_bf16(value);
    const std::size_t size = core::size_of(view.dtype);
    const void* const source =
        view.dtype == DType::kFloat32 ? static_cast<const void*>(&value) : static_cast<const void*>(&rounded);
    std::memcpy(bytes.data() + static_cast<std::size_t>(element - view.begin) * size, source, size);
  }
  return bytes;
}

std::size_t half_bytes(const state::StateView& view) { return static_cast<std::size_t>(view.num_bytes()) / 2; }

void put_bytes(const state::StateView& view, const std::vector<std::byte>& bytes) {
  if (view.scales != nullptr) {
    core::encode_blocks(reinterpret_cast<const float*>(bytes.data()), state::is_signed(view.component),
                        view.num_elements(), static_cast<std::uint8_t*>(view.data), static_cast<float*>(view.scales));
    return;
  }
  if (view.low == nullptr) {
    std::memcpy(view.data, bytes.data(), bytes.size());
    return;
  }
  for (std::size_t i = 0; i < bytes.size() / sizeof(float); ++i) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, bytes.data() + i * sizeof(bits), sizeof(bits));
    const core::SplitFloat halves = core::split_float(bits);
    static_cast<std::uint16_t*>(view.data)[i] = halves.high;
    static_cast<std::uint16_t*>(view.low)[i] = halves.low;
  }
}

std::vector<std::byte> bytes_of(const state::StateView& view) {
  std::vector<std::byte> bytes(value_bytes(view));
  if (view.scales != nullptr) {
    core::decode_blocks(static_cast<const std::uint8_t*>(view.data), static_cast<const float*>(view.scales),
                        state::is_signed(view.component), view.num_elements(), reinterpret_cast<float*>(bytes.data()));
    return bytes;
  }
  if (view.low == nullptr) {
    std::memcpy(bytes.data(), view.data, bytes.size());
    return bytes;
  }
  for (std::size_t i = 0; i < bytes.size() / sizeof(float); ++i) {
    const std::uint32_t bits = core::join_float(
        {static_cast<const std::uint16_t*>(view.data)[i], static_cast<const std::uint16_t*>(view.low)[i]});
    std::memcpy(bytes.data() + i * sizeof(bits), &bits, sizeof(bits));
  }
  return bytes;
}

// fp32 numbers as they come back from a view of 8 bits.
std::vector<std::byte> once_coded(const state::StateView& view, std::vector<std::byte> bytes) {
  auto* const values = reinterpret_cast<float*>(bytes.data());
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(view.num_elements()));
  std::vector<float> scales(static_cast<std::size_t>(core::num_scale_blocks(view.num_elements())));
  core::encode_blocks(values, state::is_signed(view.component), view.num_elements(), codes.data(), scales.data());
  core::decode_blocks(codes.data(), scales.data(), state::is_signed(view.component), view.num_elements(), values);
  return bytes;
}

}  // namespace

float sample_value(const state::TensorInfo& tensor, std::int64_t element, int salt) {
  const auto of_name = static_cast<std::int64_t>(tensor.parameter.size());
  // Weights follow from masters, as in a run.
  const auto of_component = tensor.component == Component::kWeight ? 1 : static_cast<std::int64_t>(tensor.component);
  return static_cast<float>(element + 1) +
         static_cast<float>((of_name * 131 + of_component * 17 + salt * 7) % 1024) / 1024.0F;
}

SampleState::SampleState(int rank, int size, const Options& options) : salt_(options.salt) {
  std::vector<Component> components{Component::kWeight};
  if (!options.only_weights) {
    components.insert(components.end(), {Component::kMaster, Component::kExpAvg, Component::kExpAvgSq});
  }
  if (options.weight == DType::kFloat32) {
    std::erase(components, Component::kMaster);
  }
  std::int64_t total = 0;
  for (const Shape& shape : sample_shapes()) {
    total += product(shape.extents);
  }
  const int num_owners = options.last_rank_is_empty ? size - 1 : size;
  const std::int64_t first = rank < num_owners ? total * rank / num_owners : total;
  const std::int64_t last = rank < num_owners ? total * (rank + 1) / num_owners : total;
  for (const Component component : components) {
    std::int64_t start = 0;
    for (const Shape& shape : sample_shapes()) {
      const std::int64_t count = product(shape.extents);
      const DType dtype = component == Component::kWeight ? options.weight
                          : state::is_moment(component)   ? options.moments
                                                          : DType::kFloat32;
      add({shape.name, component, dtype, shape.extents}, std::max<std::int64_t>(first - start, 0),
          std::min(last - start, count), options.coded_moments && state::is_moment(component));
      start += count;
    }
  }
  fill();
}

void SampleState::add(const state::TensorInfo& tensor, std::int64_t begin, std::int64_t end, bool is_coded) {
  description_.tensors.push_back(tensor);
  if (begin >= end) {
    return;
  }
  state::StateView view{tensor.parameter, tensor.component, tensor.dtype, tensor.shape, begin, end};
  std::byte* const memory = storage_.emplace_back(value_bytes(view) + sizeof(float)).data();
  view.data = memory;
  if (is_coded) {  // of so few elements, both have room where the fp32 numbers have
    view.scales = memory;
    view.data = memory + view.num_scale_bytes();
  }
  if (view.component == Component::kMaster) {  // in halves, as the engine has it beside a bf16 weight
    view.low = memory + half_bytes(view);
  }
  description_.mine.push_back(view);
}

void SampleState::fill() {
  for (const state::StateView& view : description_.mine) {
    put_bytes(view, sample_bytes(view, salt_));
  }
}

void SampleState::clear() {
  for (const state::StateView& view : description_.mine) {
    put_bytes(view, std::vector<std::byte>(value_bytes(view)));
  }
}

std::string SampleState::find_difference() const {
  for (const state::StateView& view : description_.mine) {
    std::vector<std::byte> expected = sample_bytes(view, salt_);
    if (view.scales != nullptr) {
      expected = once_coded(view, expected);
    }
    const auto actual = bytes_of(view);
    const auto [left, right] = std::mismatch(expected.begin(), expected.end(), actual.begin());
    if (left != expected.end()) {
      const auto element =
          view.begin + (left - expected.begin()) / static_cast<std::ptrdiff_t>(core::size_of(view.dtype));
      return fmt::format("{}/{}, element {}", view.parameter, state::name_of(view.component), element);
    }
  }
  return "";
}

state::RunState sample_run(std::int64_t global_step) {
  state::RunState run;
  run.epoch = 3;
  run.step_in_epoch = 5;
  run.global_step = global_step;
  run.optimizer_step = global_step - 1;
  run.skipped_steps = 1;
  run.seed = 0xFEDCBA9876543210ULL;
  run.effective_batch = 64;
  run.dataset_size = 50000;
  run.steps_per_epoch = 782;
  run.total_steps = 78200;
  run.warmup_steps = 3910;
  run.peak_lr = 0.1;
  run.min_lr = 1e-6;
  run.best_accuracy = 1.0 / 3.0;
  run.world_size = 4;
  run.zero_stage = 2;
  run.num_classes = 10;
  run.dataset = "fashion-mnist";
  run.input_size = 28;
  run.patch_size = 4;
  run.model_config_json = "{\"model_type\": \"qwen3\", \"hidden_size\": 16}\n";
  return run;
}

}  // namespace tessera::test
