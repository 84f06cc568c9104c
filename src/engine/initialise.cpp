#include "engine/initialise.hpp"

#include "engine/gradient_buckets.hpp"
#include "engine/whole_weights.hpp"
#include "tessera/core/philox.hpp"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <numeric>

namespace tessera::engine {
namespace {

constexpr std::int64_t kPieceElements = std::int64_t{1} << 24U;

}  // namespace

std::vector<int> ranks_held(const Context& context) {
  if (owned_part(context.options) == Part::kShard) {
    return {context.collectives.rank()};
  }
  std::vector<int> all(static_cast<std::size_t>(context.layout.world));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

void fill_pieces(const Context& context, const FillPiece& fill, const ParamRange& range,
                 const std::function<void(std::int64_t offset, const at::Tensor& piece)>& store) {
  const model::Param& param = context.table.params[static_cast<std::size_t>(range.param)];
  for (std::int64_t begin = range.begin; begin < range.end; begin += kPieceElements) {
    const std::int64_t size = std::min(kPieceElements, range.end - begin);
    at::Tensor piece = at::empty({size}, at::TensorOptions().dtype(at::kFloat).device(context.options.device));
    fill(param, begin, piece);
    store(begin - range.begin, piece);
  }
}

FillPiece random_init(const kernels::Ops& ops, std::uint64_t seed) {
  return [&ops, seed](const model::Param& param, std::int64_t begin, at::Tensor& piece) {
    const kernels::RandomStream stream{seed ^ core::hash_name(param.name.data(), param.name.size()), begin};
    switch (param.init) {
      case model::Init::kNormal:
        return ops.fill_normal(piece, stream, 0, param.init_scale);
      case model::Init::kUniform:
        return ops.fill_uniform(piece, stream, -param.init_scale, param.init_scale);
      case model::Init::kOnes:
        piece.fill_(1);
        return;
      case model::Init::kZeros:
        piece.zero_();
        return;
    }
  };
}

std::unique_ptr<model::Weights> load_weights(const EngineParts& parts, const EngineOptions& options,
                                             const FillPiece& fill) {
  auto loaded = std::make_unique<WholeWeights>(parts, parts.table, options);
  loaded->load(fill);
  return loaded;
}

}  // namespace tessera::engine
