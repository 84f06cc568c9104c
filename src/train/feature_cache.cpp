#include "train/feature_cache.hpp"

#include "tessera/engine/tensor_collectives.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <optional>

// Shapes: N images, B of a batch of each of R ranks, D features.

namespace tessera::train {

// Evaluation gives rank r the images r, r + R, and so on: a batch of all ranks is a run of neighbouring rows.
at::Tensor compute_features(const model::LinearProbe::Backbone& backbone, const data::Dataset& dataset,
                            const data::LoaderSpec& spec, const Platform& platform) {
  data::Loader loader = data::make_evaluation_loader(dataset, *platform.ops, spec);
  const std::int64_t num_ranks = platform.world();
  const std::int64_t rows_per_rank = (dataset.size() + num_ranks - 1) / num_ranks;
  const at::TensorOptions options = at::TensorOptions().dtype(spec.dtype).device(spec.device);
  at::Tensor rows_ND = at::empty({rows_per_rank * num_ranks, backbone.model.num_features()}, options);
  for (std::int64_t first = 0; first < rows_per_rank; first += spec.batch_size) {
    const std::int64_t count = std::min(spec.batch_size, rows_per_rank - first);
    // The last ranks may have a row less than the others.
    at::Tensor mine_BD = at::zeros({count, rows_ND.size(1)}, options);
    if (const std::optional<data::Batch> batch = loader.next()) {
      mine_BD.narrow(0, 0, batch->labels_B.numel()).copy_(backbone.model.features(batch->images_B3SS, backbone.frozen));
    }
    const at::Tensor all_RBD = engine::gather_over_ranks(*platform.collectives, mine_BD);
    rows_ND.narrow(0, first * num_ranks, count * num_ranks)
        .view({count, num_ranks, rows_ND.size(1)})
        .copy_(all_RBD.transpose(0, 1));
  }
  return rows_ND.narrow(0, 0, dataset.size());
}

}  // namespace tessera::train
