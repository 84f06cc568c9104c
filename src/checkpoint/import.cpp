#include "tessera/checkpoint/import.hpp"

#include "checkpoint/import_source.hpp"
#include "checkpoint/limits.hpp"
#include "tessera/checkpoint/save.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/convert.hpp"

#include <algorithm>
#include <cstring>
#include <deque>

namespace tessera::checkpoint {
namespace {

using core::DType;
using core::UserError;
using state::Component;

constexpr auto kMasterBytes = static_cast<std::int64_t>(sizeof(float));
constexpr auto kWeightBytes = static_cast<std::int64_t>(sizeof(std::uint16_t));

// One piece of one tensor on its way: what a StateView's data points to, for the copier alone to read.
struct Piece {
  Fragment source;
  DType dtype = DType::kFloat32;  // as it is written
};

class Importer {
 public:
  Importer(const ImportSource::Contents& source, const ImportRequest& request) : source_(source), request_(request) {
    for (const NamedShape& wanted : request.parameters) {
      const ImportParameter& parameter = *source.find(wanted.name);
      num_elements_ += parameter.num_elements;
      if (source.facts.has_optimizer) {
        add(parameter, Component::kWeight, DType::kBFloat16, parameter.weight);
        add(parameter, Component::kMaster, DType::kFloat32, parameter.master);
        add(parameter, Component::kExpAvg, DType::kFloat32, parameter.exp_avg);
        add(parameter, Component::kExpAvgSq, DType::kFloat32, parameter.exp_avg_sq);
      } else {
        const std::vector<Fragment> zeros{{0, parameter.num_elements, DType::kFloat32, nullptr}};
        add(parameter, Component::kWeight, DType::kFloat32, parameter.weight);
        add(parameter, Component::kExpAvg, DType::kFloat32, zeros);
        add(parameter, Component::kExpAvgSq, DType::kFloat32, zeros);
      }
    }
  }

  [[nodiscard]] std::int64_t num_elements() const { return num_elements_; }

  void check_checksums() const {
    std::int64_t total = 0;
    std::int64_t done = 0;
    for (const io::TorchFile& file : source_.torch_files) {
      total += file.archive().num_bytes();
    }
    for (const io::TorchFile& file : source_.torch_files) {
      file.archive().verify([&](std::int64_t bytes) { tell("checking", done += bytes, total); });
    }
  }

  // Master and weight of every element.
  void check_masters() const {
    std::int64_t done = 0;
    for (const NamedShape& wanted : request_.parameters) {
      const ImportParameter& parameter = *source_.find(wanted.name);
      for (const Fragment& master : parameter.master) {
        check_master(parameter, master);
        done += (master.end - master.begin) * kMasterBytes;
        tell("comparing", done, num_elements_ * kMasterBytes);
      }
    }
  }

  SaveResult save() {
    SaveRequest request;
    request.run_dir = request_.run_dir;
    request.name = request_.name;
    request.state = std::move(state_);
    request.run = request_.run;
    request.created = request_.created;
    request.files = request_.files;
    std::int64_t done = 0;
    request.copier.to_host = [&](void* host, const void* state, std::size_t bytes) {
      copy(*static_cast<const Piece*>(state), host, bytes);
      tell("importing", done += static_cast<std::int64_t>(bytes), total_bytes_);
    };
    return checkpoint::save(request);
  }

 private:
  void tell(const char* what, std::int64_t done, std::int64_t total) const {
    if (request_.progress) {
      request_.progress(what, done, total);
    }
  }

  void add(const ImportParameter& parameter, Component component, DType dtype, const std::vector<Fragment>& fragments) {
    state_.tensors.push_back({parameter.name, component, dtype, parameter.shape});
    const auto element_bytes = static_cast<std::int64_t>(core::size_of(dtype));
    const std::int64_t most = kPieceBytes / element_bytes;
    for (const Fragment& fragment : fragments) {
      for (std::int64_t begin = fragment.begin; begin < fragment.end; begin += most) {
        const std::int64_t end = std::min(fragment.end, begin + most);
        const std::int64_t skipped =
            (begin - fragment.begin) * static_cast<std::int64_t>(core::size_of(fragment.dtype));
        const std::byte* const data = fragment.data == nullptr ? nullptr : fragment.data + skipped;
        Piece& piece = pieces_.emplace_back(Piece{{begin, end, fragment.dtype, data}, dtype});
        // save() writes a view of at most kPieceBytes at once, so that the copier is given `piece` itself.
        state_.mine.push_back({parameter.name, component, dtype, parameter.shape, begin, end, &piece});
        total_bytes_ += (end - begin) * element_bytes;
      }
    }
  }

  static void copy(const Piece& piece, void* host, std::size_t bytes) {
    const auto count = static_cast<std::size_t>(piece.source.end - piece.source.begin);
    core::require(count * core::size_of(piece.dtype) == bytes, "checkpoint",
                  "a piece of {} elements was asked for as {} bytes", count, bytes);
    if (piece.source.data == nullptr) {
      std::memset(host, 0, bytes);
    } else {
      io::convert_elements(piece.source.dtype, piece.source.data, piece.dtype, host, count);
    }
  }

  void check_master(const ImportParameter& parameter, const Fragment& master) const {
    const std::byte* const weights = parameter.weight.at(0).data;
    for (std::int64_t element = master.begin; element < master.end; ++element) {
      float value = 0;
      std::memcpy(&value, master.data + (element - master.begin) * kMasterBytes, sizeof(value));
      std::uint16_t weight = 0;
      std::memcpy(&weight, weights + element * kWeightBytes, sizeof(weight));
      const bool both_nan = value != value && core::bf16_to_float(weight) != core::bf16_to_float(weight);
      core::require<UserError>(core::float_to_bf16(value) == weight || both_nan, "checkpoint",
                               "{}: element {} of {} is {} in the model and {} in the optimizer's fp32 copy, which "
                               "does not round to it: its files are of different steps, or its parameters lie in an "
                               "order that is not known here; --weights_only imports the weights alone",
                               source_.facts.kind, element, parameter.name, core::bf16_to_float(weight), value);
    }
  }

  const ImportSource::Contents& source_;
  const ImportRequest& request_;
  state::StateDescription state_;
  std::deque<Piece> pieces_;
  std::int64_t num_elements_ = 0;
  std::int64_t total_bytes_ = 0;
};

}  // namespace

ImportResult import_checkpoint(const ImportSource& source, const ImportRequest& request) {
  core::require<UserError>(!request.ignore_checksums || !source.contents().torch_files.empty(), "checkpoint",
                           "--ignore_checksums is for files of torch.save; {} has no checksums",
                           source.contents().facts.kind);
  ImportResult result;
  result.passed_over = source.match(request.parameters);
  Importer importer(source.contents(), request);
  if (!request.ignore_checksums) {
    importer.check_checksums();
  }
  importer.check_masters();
  result.num_parameters = importer.num_elements();
  const SaveResult saved = importer.save();
  result.path = saved.path;
  result.bytes = saved.bytes;
  result.warning = saved.warning;
  return result;
}

}  // namespace tessera::checkpoint
