#include "engine/whole_weights.hpp"

#include "engine/initialise.hpp"

namespace tessera::engine {

WholeWeights::WholeWeights(const EngineParts& parts, const model::ParamTable& table, const EngineOptions& options)
    : context_{table, make_shard_layout(table, parts.collectives.size(), options.bucket_elements), parts.collectives,
               parts.ops, options},
      parameters_(context_) {}

void WholeWeights::load(const FillPiece& fill) {
  for (int bucket = 0; bucket < context_.num_buckets(); ++bucket) {
    const at::Tensor shard = context_.shard(parameters_.whole(bucket), bucket);
    for (const ParamRange& range : context_.layout.ranges(context_.table, bucket, context_.collectives.rank())) {
      fill_pieces(context_, fill, range, [&](std::int64_t offset, const at::Tensor& piece) {
        shard.narrow(0, range.offset + offset, piece.numel()).copy_(piece);
      });
    }
  }
  gather();
}

void WholeWeights::describe(state::StateDescription& description) const {
  const core::DType dtype = to_dtype(context_.options.compute);
  for (const model::Param& param : context_.table.params) {
    description.tensors.push_back({param.name, state::Component::kWeight, dtype, param.shape});
  }
  for (int bucket = 0; bucket < context_.num_buckets(); ++bucket) {
    const at::Tensor shard = context_.shard(parameters_.whole(bucket), bucket);
    for (const ParamRange& range : context_.layout.ranges(context_.table, bucket, context_.collectives.rank())) {
      const model::Param& param = context_.table.params[static_cast<std::size_t>(range.param)];
      const at::Tensor mine = shard.narrow(0, range.offset, range.num_elements());
      description.mine.push_back(
          {param.name, state::Component::kWeight, dtype, param.shape, range.begin, range.end, mine.mutable_data_ptr()});
    }
  }
}

void WholeWeights::gather() {
  for (int bucket = context_.num_buckets() - 1; bucket >= 0; --bucket) {
    parameters_.gather(bucket);
  }
  parameters_.wait_for_all();
}

}  // namespace tessera::engine
