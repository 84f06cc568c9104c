#include "train/saver.hpp"

#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/checkpoint/save.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/units.hpp"

#include <ATen/ops/from_blob.h>

namespace tessera::train {

checkpoint::MemoryCopier make_copier(c10::Device device) {
  if (device.is_cpu()) {
    return {};
  }
  const auto bytes_at = [](void* memory, std::size_t bytes, c10::Device where) {
    return at::from_blob(memory, {static_cast<std::int64_t>(bytes)},
                         at::TensorOptions().dtype(at::kByte).device(where));
  };
  return {[=](void* host, const void* state, std::size_t bytes) {
            bytes_at(host, bytes, c10::kCPU).copy_(bytes_at(const_cast<void*>(state), bytes, device));
          },
          [=](void* state, const void* host, std::size_t bytes) {
            bytes_at(state, bytes, device).copy_(bytes_at(const_cast<void*>(host), bytes, c10::kCPU));
          }};
}

void Saver::save(const std::string& name, const engine::Engine& engine, const state::RunState& run) const {
  try {
    save_last(name, engine, run);
  } catch (const core::AgreedUserError& error) {
    log_.warn("the checkpoint was not saved, training goes on: {}", error.what());
  } catch (const core::AgreedError& error) {
    log_.warn("the checkpoint was not saved, training goes on: {}", error.what());
  }
}

void Saver::save_last(const std::string& name, const engine::Engine& engine, const state::RunState& run) const {
  if (config_.output_dir.empty()) {
    return;
  }
  checkpoint::SaveRequest request;
  request.run_dir = config_.output_dir;
  request.name = name;
  request.state = engine.state_to_save();
  request.run = run;
  request.group = platform_.mesh.world;
  request.copier = make_copier(platform_.device);
  const checkpoint::SaveResult result = checkpoint::save(request);
  log_.info("saved {} ({}) in {:.1f} s", result.path, core::format_bytes(static_cast<double>(result.bytes)),
            result.seconds);
  prune();
}

void Saver::prune() const {
  if (config_.keep_last == 0) {
    return;
  }
  platform_.mesh.world.agree([this] {
    if (platform_.is_first()) {
      const checkpoint::PruneRequest request{config_.keep_last, {"checkpoint-final", "checkpoint-best"}, false};
      for (const std::string& name : checkpoint::prune(config_.output_dir, request)) {
        log_.info("removed {}: --keep_last {}", name, config_.keep_last);
      }
    }
  });
}

}  // namespace tessera::train
