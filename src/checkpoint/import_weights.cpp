#include "checkpoint/import_source.hpp"
#include "checkpoint/pickle_access.hpp"
#include "tessera/checkpoint/run_state_json.hpp"
#include "tessera/core/error.hpp"

namespace tessera::checkpoint {
namespace {

using core::UserError;
using io::PickleKind;
using io::PickleValue;

// The reference pipeline saves its flags with the weights, as an argparse.Namespace.
void read_settings(ImportFacts& facts, const PickleValue& namespace_of_flags) {
  const PickleValue* const settings = namespace_of_flags.attributes;
  if (settings == nullptr) {
    return;
  }
  constexpr std::int64_t kMost = 1 << 20U;  // keeps the product within 64 bits
  std::int64_t batch = 1;
  for (const std::string_view key : {"batch_size", "accum_iter", "world_size"}) {
    const std::int64_t factor = count(settings->find(key), 1).value_or(0);
    batch = factor <= kMost ? batch * factor : 0;
  }
  if (batch > 0) {
    facts.effective_batch = batch;
  }
  facts.input_size = count(settings->find("input_size"), 1);
  facts.epochs = count(settings->find("epochs"), 1);
  facts.warmup_epochs = real(settings->find("warmup_epochs"));
  facts.peak_lr = real(settings->find("lr"));
  facts.min_lr = real(settings->find("min_lr"));
  const PickleValue* const dataset = settings->find("dataset");
  if (dataset != nullptr && dataset->is(PickleKind::kText)) {
    facts.dataset = std::string(dataset->text);
  }
}

}  // namespace

void add_state_dict(ImportSource::Contents& contents, const io::TorchArchive& archive, const PickleValue& state) {
  for (std::size_t i = 0; i + 1 < state.items.size(); i += 2) {
    const PickleValue& key = *state.items[i];
    core::require<UserError>(key.is(PickleKind::kText), "checkpoint", "{}: the state dict has a key that is no name",
                             archive.file());
    const std::string name(key.text);
    const io::TorchTensor tensor = archive.tensor(*state.items[i + 1], name);
    const auto dtype = tensor.element_type();
    core::require<UserError>(dtype.has_value(), "checkpoint",
                             "{}: {} is a {}; weights of type float32, bfloat16 and float16 are read", archive.file(),
                             name, tensor.storage);
    contents.add(name, tensor.shape, tensor.num_elements)
        .weight.push_back({0, tensor.num_elements, *dtype, tensor.bytes.data()});
  }
}

void read_torch_weights(ImportSource::Contents& contents, const std::string& path) {
  contents.facts.kind = "the weights in " + path;
  const io::TorchArchive& archive = contents.torch_files.emplace_back(path).archive();
  const PickleValue& root = archive.root();
  core::require<UserError>(root.is_mapping(), "checkpoint", "{} holds no state dict", path);
  // {"model": ...} of the reference pipeline and our own consolidate, DeepSpeed's {"module": ...}, or a bare state
  // dict.
  const PickleValue* state = &root;
  for (const std::string_view key : {"model", "module"}) {
    const PickleValue* const found = root.find(key);
    if (found != nullptr && found->is_mapping() && !io::TorchArchive::is_tensor(*found)) {
      state = found;
      break;
    }
  }
  add_state_dict(contents, archive, *state);
  const PickleValue* const settings = root.find("args");
  if (settings != nullptr && settings->is_call("argparse.Namespace")) {
    read_settings(contents.facts, *settings);
  }
}

void read_safetensors_weights(ImportSource::Contents& contents, const std::string& path) {
  contents.facts.kind = "the weights in " + path;
  const io::SafetensorsReader& reader = contents.safetensors.emplace(path);
  for (const io::SafetensorsTensor& tensor : reader.tensors()) {
    const auto dtype = tensor.element_type();
    core::require<UserError>(dtype.has_value(), "checkpoint",
                             "{}: {} is of type {}; weights of type F32, BF16 and F16 are read", tensor.file,
                             tensor.name, tensor.dtype);
    contents.add(tensor.name, tensor.shape, tensor.num_elements)
        .weight.push_back({0, tensor.num_elements, *dtype, tensor.bytes.data()});
  }
  const auto run = reader.metadata().find(kRunMetadata);
  if (run != reader.metadata().end()) {
    contents.facts.run = run_state_from_json(run->second, path);
  }
}

}  // namespace tessera::checkpoint
