#include "train/frozen_backbone.hpp"

#include "tessera/engine/engine.hpp"
#include "tessera/io/crc32c.hpp"
#include "train/planning.hpp"

#include <algorithm>
#include <utility>

namespace tessera::train {
namespace {

constexpr std::int64_t kSampledElements = 64;  // of a unit

std::string sampled_crc32c(const model::ParamTable& table, model::Weights& weights) {
  std::uint32_t crc = 0;
  for (int unit = 0; std::cmp_less(unit, table.units.size()); ++unit) {
    const at::Tensor flat = weights.weight(unit).view({-1});
    const at::Tensor sample =
        flat.narrow(0, 0, std::min(kSampledElements, flat.numel())).to(at::kBFloat16).cpu().contiguous();
    crc = io::crc32c(sample.const_data_ptr(), static_cast<std::size_t>(sample.nbytes()), crc);
  }
  return io::crc32c_text(crc);
}

}  // namespace

FrozenBackbone::FrozenBackbone(const config::RunConfig& config, std::int64_t num_classes, const BackboneSpec& spec,
                               const Platform& platform, const core::Log& log)
    : model_(config.model.shape, geometry_of(config, num_classes), *platform.ops, {platform.device, platform.compute}),
      table_(model::backbone_part(model_.params())) {
  engine::FillPiece source;
  platform.mesh.world.agree([&] { source = backbone_source(spec, table_, *platform.ops, log); });
  weights_ = engine::load_weights({table_, *platform.collectives, platform.mesh.world, *platform.ops},
                                  engine_options(config, platform.device, platform.compute), source);
  crc32c_ = sampled_crc32c(table_, *weights_);
}

}  // namespace tessera::train
