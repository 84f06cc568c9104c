#include "tessera/io/torch_file.hpp"

#include "tessera/core/error.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace tessera::io {
namespace {

using core::UserError;

struct StorageType {
  std::string_view name;
  std::int64_t bytes;  // of an element
};

// Of torch/storage.py. What is not a weight's type is passed over unless somebody asks for it.
constexpr std::array<StorageType, 10> kStorageTypes{{{"FloatStorage", 4},
                                                     {"BFloat16Storage", 2},
                                                     {"HalfStorage", 2},
                                                     {"DoubleStorage", 8},
                                                     {"LongStorage", 8},
                                                     {"IntStorage", 4},
                                                     {"ShortStorage", 2},
                                                     {"CharStorage", 1},
                                                     {"ByteStorage", 1},
                                                     {"BoolStorage", 1}}};

constexpr std::string_view kTorch = "torch.";
constexpr std::string_view kRebuildTensor = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kRebuildParameter = "torch._utils._rebuild_parameter";

// What a checkpoint may name besides storages. The second half are objects of which at most a few numbers are wanted:
// they stay descriptions.
constexpr std::array<std::string_view, 10> kGlobals{kRebuildTensor,
                                                    kRebuildParameter,
                                                    "torch.Size",
                                                    "torch.device",
                                                    "collections.OrderedDict",
                                                    "argparse.Namespace",
                                                    "deepspeed.runtime.fp16.loss_scaler.LossScaler",
                                                    "deepspeed.runtime.fp16.loss_scaler.DynamicLossScaler",
                                                    "deepspeed.runtime.zero.config.ZeroStageEnum",
                                                    "deepspeed.utils.tensor_fragment.fragment_address"};
constexpr std::array<std::string_view, 10> kDtypes{"float32", "bfloat16", "float16", "float64", "int64",
                                                   "int32",   "int16",    "int8",    "uint8",   "bool"};

const StorageType* find_storage_type(std::string_view global) {
  if (!global.starts_with(kTorch)) {
    return nullptr;
  }
  global.remove_prefix(kTorch.size());
  const auto* const found =
      std::ranges::find_if(kStorageTypes, [&](const StorageType& type) { return type.name == global; });
  return found == kStorageTypes.end() ? nullptr : found;
}

bool may_name(std::string_view global) {
  const auto is_dtype = [&] {
    return global.starts_with(kTorch) && std::ranges::find(kDtypes, global.substr(kTorch.size())) != kDtypes.end();
  };
  return std::ranges::find(kGlobals, global) != kGlobals.end() || find_storage_type(global) != nullptr || is_dtype();
}

// The numbers of a tuple of whole numbers from 0; none where it is something else.
std::optional<std::vector<std::int64_t>> counts_of(const PickleValue& value) {
  if (!value.is(PickleKind::kTuple)) {
    return std::nullopt;
  }
  std::vector<std::int64_t> counts;
  for (const PickleValue* item : value.items) {
    if (!item->is(PickleKind::kInteger) || item->integer < 0) {
      return std::nullopt;
    }
    counts.push_back(item->integer);
  }
  return counts;
}

bool is_row_major(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides) {
  std::int64_t expected = 1;
  for (std::size_t d = shape.size(); d-- > 0;) {
    if (shape[d] != 1 && strides[d] != expected) {
      return false;
    }
    expected *= shape[d];  // a product of extents that was found to fit
  }
  return true;
}

}  // namespace

std::optional<core::DType> TorchTensor::element_type() const {
  if (storage == "FloatStorage") {
    return core::DType::kFloat32;
  }
  if (storage == "BFloat16Storage") {
    return core::DType::kBFloat16;
  }
  if (storage == "HalfStorage") {
    return core::DType::kFloat16;
  }
  return std::nullopt;
}

TorchArchive::TorchArchive(std::span<const std::byte> bytes, std::string file) : file_(std::move(file)) {
  constexpr std::string_view kPickle = "data.pkl";
  entries_ = parse_zip(bytes, file_);
  const ZipEntry* pickle = nullptr;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const std::string& name = entries_[i].name;
    by_name_.emplace(name, i);
    if (name.ends_with(kPickle) && name.find('/') == name.size() - kPickle.size() - 1) {
      pickle = &entries_[i];
      prefix_ = name.substr(0, name.size() - kPickle.size());
    }
  }
  core::require<UserError>(pickle != nullptr, "io", "{}: a zip archive, but not one of torch.save: it has no {}", file_,
                           kPickle);
  const auto order = by_name_.find(prefix_ + "byteorder");
  if (order != by_name_.end()) {
    const auto text = entries_[order->second].bytes;
    core::require<UserError>(std::string_view(reinterpret_cast<const char*>(text.data()), text.size()) == "little",
                             "io", "{} was saved on a big-endian machine; load and save it on a little-endian one",
                             file_);
  }
  pickle_.emplace(pickle->bytes, may_name, file_);
}

bool TorchArchive::is_tensor(const PickleValue& value) {
  return value.is_call(kRebuildTensor) || value.is_call(kRebuildParameter);
}

// ("storage", class, key, device, number of elements)
TorchTensor TorchArchive::storage_of(const PickleValue& id, std::string_view name) const {
  constexpr std::size_t kFields = 5;
  const auto& fields = id.is(PickleKind::kTuple) ? id.items : std::vector<const PickleValue*>{};
  const bool is_storage = fields.size() == kFields && fields[0]->text == "storage" &&
                          fields[1]->is(PickleKind::kGlobal) && fields[2]->is(PickleKind::kText) &&
                          fields[4]->is(PickleKind::kInteger);
  const StorageType* const type = is_storage ? find_storage_type(fields[1]->text) : nullptr;
  core::require<UserError>(type != nullptr, "io", "{}: {} has no storage of a known type", file_, name);
  TorchTensor storage;
  storage.storage = type->name;
  storage.num_elements = fields[4]->integer;
  const std::string entry = prefix_ + "data/" + std::string(fields[2]->text);
  const auto found = by_name_.find(entry);
  core::require<UserError>(found != by_name_.end(), "io", "{}: the storage {} of {} is not in the archive", file_,
                           entry, name);
  storage.bytes = entries_[found->second].bytes;
  const auto held = static_cast<std::int64_t>(storage.bytes.size());
  core::require<UserError>(storage.num_elements >= 0 && storage.num_elements <= held / type->bytes, "io",
                           "{}: the storage {} of {} has {} bytes, too few for {} elements", file_, entry, name, held,
                           storage.num_elements);
  return storage;
}

TorchTensor TorchArchive::tensor(const PickleValue& value, std::string_view name) const {
  const PickleValue* call = &value;
  if (call->is_call(kRebuildParameter) && !call->target->items.empty()) {
    call = call->target->items[0];
  }
  constexpr std::size_t kArguments = 4;  // storage, offset, shape, strides; what follows concerns autograd
  core::require<UserError>(call->is_call(kRebuildTensor) && call->target->items.size() >= kArguments &&
                               call->target->items[0]->is(PickleKind::kPersistent) &&
                               call->target->items[1]->is(PickleKind::kInteger),
                           "io", "{}: {} is no tensor", file_, name);
  const auto& arguments = call->target->items;
  const auto shape = counts_of(*arguments[2]);
  const auto strides = counts_of(*arguments[3]);
  core::require<UserError>(shape && strides && shape->size() == strides->size(), "io",
                           "{}: {} has a shape that is none", file_, name);
  TorchTensor tensor = storage_of(*arguments[0]->target, name);
  const auto element = find_storage_type(std::string(kTorch) + tensor.storage)->bytes;
  std::int64_t count = 1;
  bool overflow = false;
  for (const std::int64_t extent : *shape) {
    overflow = overflow || __builtin_mul_overflow(count, extent, &count);
  }
  const std::int64_t offset = arguments[1]->integer;
  core::require<UserError>(
      !overflow && offset >= 0 && offset <= tensor.num_elements && count <= tensor.num_elements - offset, "io",
      "{}: {} of shape [{}] at element {} is larger than its storage of {}", file_, name, fmt::join(*shape, ", "),
      offset, tensor.num_elements);
  core::require<UserError>(count == 0 || is_row_major(*shape, *strides), "io",
                           "{}: {} does not lie row-major in the file; save tensor.contiguous()", file_, name);
  tensor.shape = *shape;
  tensor.num_elements = count;
  tensor.bytes =
      tensor.bytes.subspan(static_cast<std::size_t>(offset * element), static_cast<std::size_t>(count * element));
  return tensor;
}

std::int64_t TorchArchive::num_bytes() const {
  std::int64_t total = 0;
  for (const ZipEntry& entry : entries_) {
    total += static_cast<std::int64_t>(entry.bytes.size());
  }
  return total;
}

void TorchArchive::verify(const std::function<void(std::int64_t)>& progress) const {
  constexpr std::size_t kPiece = std::size_t{16} << 20U;
  for (const ZipEntry& entry : entries_) {
    std::uint32_t crc = 0;
    for (std::size_t begin = 0; begin < entry.bytes.size(); begin += kPiece) {
      const auto piece = entry.bytes.subspan(begin, std::min(kPiece, entry.bytes.size() - begin));
      crc = zip_crc32(piece, crc);
      progress(static_cast<std::int64_t>(piece.size()));
    }
    core::require<UserError>(crc == entry.crc32, "io",
                             "{}: the bytes of {} are not those that were saved: CRC-32 {:08x}, not {:08x}; copy the "
                             "file again (or, where it was saved with set_crc32_options(False), add "
                             "--ignore_checksums)",
                             file_, entry.name, crc, entry.crc32);
  }
}

}  // namespace tessera::io
