#include "checkpoint/export.hpp"

#include "tessera/checkpoint/restore.hpp"
#include "tessera/checkpoint/run_state_json.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/convert.hpp"

namespace tessera::checkpoint {

Export::Export(const Reader& reader, const ConsolidateRequest& request) : reader_(reader), request_(request) {
  std::int64_t num_averages = 0;
  for (const StoredTensor& tensor : reader.tensors()) {
    if (tensor.info.component == state::Component::kWeight) {
      const core::DType dtype = request.dtype.value_or(tensor.info.dtype);
      // What was frozen has no average: it would be the weight.
      const StoredTensor* const average =
          request.averages ? reader.find(tensor.info.parameter, state::Component::kAverage) : nullptr;
      num_averages += average != nullptr ? 1 : 0;
      tensors_.push_back(
          {average != nullptr ? average : find_source(reader, tensor.info.parameter, state::Component::kWeight, dtype),
           dtype});
      total_bytes_ += tensors_.back().num_bytes();
    }
  }
  core::require<core::UserError>(!request.averages || num_averages > 0, "checkpoint",
                                 "{} has no moving averages; it was trained without --ema_decay", reader.path());
  core::require<core::UserError>(!tensors_.empty(), "checkpoint", "{} has no weights", reader.path());
}

std::map<std::string, std::string> Export::metadata() const {
  return {{"format", "pt"}, {kRunMetadata, to_json(run())}};
}

void Export::for_each_piece(const ExportTensor& tensor, const Piece& take) {
  const core::DType stored_type = tensor.source->info.dtype;
  for (const StoredRange& range : tensor.source->ranges) {
    const auto count = static_cast<std::size_t>(range.end - range.begin);
    stored_.resize(count * core::size_of(stored_type));
    reader_.read(*tensor.source, range.begin, range.end, stored_.data());
    if (tensor.dtype == stored_type) {
      take(range.begin, range.end, stored_);
    } else {
      converted_.resize(count * core::size_of(tensor.dtype));
      io::convert_elements(stored_type, stored_.data(), tensor.dtype, converted_.data(), count);
      take(range.begin, range.end, converted_);
    }
    done_bytes_ += static_cast<std::int64_t>(count * core::size_of(tensor.dtype));
    if (request_.progress) {
      request_.progress(done_bytes_, total_bytes_);
    }
  }
}

}  // namespace tessera::checkpoint
