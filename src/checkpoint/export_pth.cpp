#include "checkpoint/export.hpp"
#include "checkpoint/zip_writer.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/little_endian.hpp"

namespace tessera::checkpoint {
namespace {

// What torch.load(weights_only=True) accepts of Python's pickle protocol 2: plain containers, numbers and texts, and
// tensors as calls of torch._utils._rebuild_tensor_v2. (Lib/pickle.py; torch/_weights_only_unpickler.py)
class Pickle {
 public:
  void begin_dict() { bytes_ += "}("; }  // EMPTY_DICT MARK
  void end_dict() { bytes_ += 'u'; }     // SETITEMS
  void begin_tuple() { bytes_ += '('; }
  void end_tuple() { bytes_ += 't'; }
  void call() { bytes_ += 'R'; }           // REDUCE
  void persistent_id() { bytes_ += 'Q'; }  // BINPERSID

  void text(std::string_view value) {
    bytes_ += 'X';  // BINUNICODE
    core::append_little_endian(bytes_, static_cast<std::uint32_t>(value.size()));
    bytes_ += value;
  }
  void number(std::int64_t value) {
    bytes_ += "\x8a\x08";  // LONG1, 8 bytes
    core::append_little_endian(bytes_, value);
  }
  void no() { bytes_ += '\x89'; }  // NEWFALSE
  void global(std::string_view module, std::string_view name) {
    bytes_ += 'c';
    bytes_ += module;
    bytes_ += '\n';
    bytes_ += name;
    bytes_ += '\n';
  }
  void numbers(const std::vector<std::int64_t>& values) {
    begin_tuple();
    for (const std::int64_t value : values) {
      number(value);
    }
    end_tuple();
  }

  std::string finish() {
    bytes_ += '.';
    return std::move(bytes_);
  }

 private:
  std::string bytes_ = "\x80\x02";  // PROTO 2
};

std::vector<std::int64_t> strides_of(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t d = shape.size(); d > 1; --d) {
    strides[d - 2] = strides[d - 1] * shape[d - 1];
  }
  return strides;
}

// _rebuild_tensor_v2(storage, 0, shape, strides, requires_grad=False, backward_hooks=OrderedDict())
void put_tensor(Pickle& pickle, const ExportTensor& tensor, std::size_t key) {
  pickle.global("torch._utils", "_rebuild_tensor_v2");
  pickle.begin_tuple();
  pickle.begin_tuple();
  pickle.text("storage");
  pickle.global("torch", tensor.dtype == core::DType::kFloat32 ? "FloatStorage" : "BFloat16Storage");
  pickle.text(std::to_string(key));
  pickle.text("cpu");
  pickle.number(tensor.num_elements());
  pickle.end_tuple();
  pickle.persistent_id();
  pickle.number(0);
  pickle.numbers(tensor.shape());
  pickle.numbers(strides_of(tensor.shape()));
  pickle.no();
  pickle.global("collections", "OrderedDict");
  pickle.begin_tuple();
  pickle.end_tuple();
  pickle.call();
  pickle.end_tuple();
  pickle.call();
}

void put_state_dict(Pickle& pickle, const std::vector<ExportTensor>& tensors) {
  pickle.begin_dict();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    pickle.text(tensors[i].name());
    put_tensor(pickle, tensors[i], i);
  }
  pickle.end_dict();
}

std::string make_pickle(const Export& weights) {
  Pickle pickle;
  if (weights.request().weights_only) {
    put_state_dict(pickle, weights.tensors());
    return pickle.finish();
  }
  pickle.begin_dict();
  pickle.text("model");
  put_state_dict(pickle, weights.tensors());
  pickle.text("epoch");
  pickle.number(weights.run().epoch);
  pickle.end_dict();
  return pickle.finish();
}

}  // namespace

std::int64_t export_pth(Export& weights, const std::string& path) {
  ZipWriter archive(path, weights.request().files);
  std::int64_t total = 0;
  for (const ExportTensor& tensor : weights.tensors()) {
    total += tensor.num_bytes();
  }
  archive.reserve(total);
  archive.add("archive/data.pkl", make_pickle(weights));
  archive.add("archive/byteorder", "little");
  for (std::size_t i = 0; i < weights.tensors().size(); ++i) {
    const ExportTensor& tensor = weights.tensors()[i];
    archive.begin_entry("archive/data/" + std::to_string(i), tensor.num_bytes());
    weights.for_each_piece(tensor, [&](std::int64_t /*begin*/, std::int64_t /*end*/, std::span<const std::byte> bytes) {
      archive.write(bytes);
    });
    archive.end_entry();
  }
  archive.add("archive/version", "3\n");
  return archive.finish();
}

}  // namespace tessera::checkpoint
