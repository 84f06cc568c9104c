#include "train/saver.hpp"

#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/checkpoint/save.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/units.hpp"
#include "tessera/engine/side_stream.hpp"
#include "tessera/topology/pinned_memory.hpp"

#include <ATen/Context.h>
#include <ATen/ops/from_blob.h>

#include <chrono>
#include <functional>
#include <utility>

namespace tessera::train {
namespace {

// How long a rank that fails lets the save under way end: short enough for all ranks to end soon, long enough for most
// of what is nearly done.
constexpr std::chrono::seconds kGrace{5};

// Bytes per second of a first save, before one was measured: a third of what one SSD writes with all checksums.
constexpr double kModerateRate = 5e8;

at::Tensor bytes_at(void* memory, std::size_t bytes, c10::Device where) {
  return at::from_blob(memory, {static_cast<std::int64_t>(bytes)}, at::TensorOptions().dtype(at::kByte).device(where));
}

// Of a run on `device`: what is offloaded lives in pinned memory of the host.
at::Tensor state_at(const void* state, std::size_t bytes, c10::Device device) {
  const bool offloaded = at::globalContext().isPinnedPtr(state, device.type());
  return bytes_at(const_cast<void*>(state), bytes, offloaded ? c10::Device(c10::kCPU) : device);
}

void copy_to_host(void* host, const void* state, std::size_t bytes, c10::Device device) {
  bytes_at(host, bytes, c10::kCPU).copy_(state_at(state, bytes, device));
}

checkpoint::SnapshotMeans snapshot_means(c10::Device device) {
  if (device.is_cpu()) {
    return {};
  }
  const auto side = std::make_shared<engine::SideStream>(device);
  return {topology::pinned_memory, [side] { side->follow_current(); },
          [side, device](void* host, const void* state, std::size_t bytes) {
            side->run([&] { copy_to_host(host, state, bytes, device); });
          }};
}

// The message of a failure that every rank has alike, which the run can live with; empty where there was none. Any
// other is of this rank alone, and ends the run.
std::string agreed_failure(const std::function<void()>& work) {
  try {
    work();
  } catch (const core::AgreedUserError& error) {
    return error.what();
  } catch (const core::AgreedError& error) {
    return error.what();
  }
  return "";
}

void or_warn(const core::Log& log, const std::function<void()>& work) {
  const std::string failure = agreed_failure(work);
  if (!failure.empty()) {
    log.warn("the checkpoint was not saved, training goes on: {}", failure);
  }
}

}  // namespace

checkpoint::MemoryCopier make_copier(c10::Device device) {
  if (device.is_cpu()) {
    return {};
  }
  return {[=](void* host, const void* state, std::size_t bytes) { copy_to_host(host, state, bytes, device); },
          [=](void* state, const void* host, std::size_t bytes) {
            state_at(state, bytes, device).copy_(bytes_at(const_cast<void*>(host), bytes, c10::kCPU));
          }};
}

// One call of save(). The thread writes what came of it, which is read after its end.
struct Saver::Job {
  checkpoint::SaveRequest request;  // but for name and group
  std::vector<std::string> names;
  std::int64_t keep_last = 0;

  double waited_seconds = 0;  // for the save before
  double stall_seconds = 0;
  double snapshot_seconds = 0;

  std::vector<checkpoint::SaveResult> results;
  std::vector<std::string> removed;
  std::string prune_problem;

  // Collective over `group`.
  void write(const topology::Group& group) {
    request.group = group;
    for (const std::string& name : names) {
      request.name = name;
      results.push_back(checkpoint::save(request));
    }
    if (keep_last > 0) {
      prune();
    }
  }

  // What cannot be removed is no reason to say that nothing was saved.
  void prune() {
    prune_problem = agreed_failure([this] {
      request.group.agree([this] {
        if (request.group.rank() == 0) {
          removed = checkpoint::prune(request.run_dir, {keep_last, {"checkpoint-final", "checkpoint-best"}, false});
        }
      });
    });
  }
};

Saver::Saver(const SaverParts& parts) : parts_(parts), saved_step_(parts.saved_step) {
  if (parts.config.output_dir.empty()) {
    return;
  }
  const state::StateDescription state = parts.engine.state_to_save();
  expected_seconds_ = static_cast<double>(checkpoint::snapshot_bytes(state) * parts.platform.world()) / kModerateRate;
  if (parts.config.async_save) {
    async_ = std::make_unique<checkpoint::AsyncSaver>(parts.platform.mesh.world, state,
                                                      snapshot_means(parts.platform.device));
  }
}

Saver::~Saver() = default;

void Saver::save(std::vector<std::string> names, const state::RunState& run) {
  or_warn(parts_.log, [&] { begin(std::move(names), run); });
}

void Saver::save_last(std::vector<std::string> names, const state::RunState& run) {
  begin(std::move(names), run);
  take();
}

void Saver::begin(std::vector<std::string> names, const state::RunState& run) {
  if (parts_.config.output_dir.empty()) {
    return;
  }
  const auto job = std::make_shared<Job>();
  job->request.run_dir = parts_.config.output_dir;
  job->request.run = run;
  job->names = std::move(names);
  job->keep_last = parts_.config.keep_last;
  if (async_) {
    start_thread(job);
  } else {
    save_in_place(job);
  }
}

void Saver::start_thread(const std::shared_ptr<Job>& job) {
  if (under_way_ && !async_->is_done()) {
    parts_.log.warn("checkpoint-{} is due while checkpoint-{} is still being written: training waits; save less often",
                    job->names.back(), under_way_->names.back());
  }
  const Stopwatch waiting;
  settle();
  job->waited_seconds = waiting.seconds();
  const Stopwatch starting;
  async_->start(parts_.engine.state_to_save(),
                [job](const state::StateDescription& copy, const topology::Group& group) {
                  job->request.state = copy;
                  job->write(group);
                });
  under_way_ = job;
  job->stall_seconds = starting.seconds();
}

void Saver::save_in_place(const std::shared_ptr<Job>& job) {
  const Stopwatch watch;
  job->request.state = parts_.engine.state_to_save();
  job->request.copier = make_copier(parts_.platform.device);
  try {
    job->write(parts_.platform.mesh.world);
  } catch (...) {
    tell(*job);
    throw;
  }
  job->stall_seconds = watch.seconds();
  tell(*job);
}

void Saver::before_update() {
  if (under_way_) {
    const Stopwatch watch;
    async_->wait_for_snapshot();
    under_way_->stall_seconds += watch.seconds();
  }
}

void Saver::after_step() {
  if (under_way_ && async_->is_done()) {
    settle();
  }
}

void Saver::settle() {
  or_warn(parts_.log, [this] { take(); });
}

// Takes what the save under way has come to.
void Saver::take() {
  if (!under_way_) {
    return;
  }
  const std::shared_ptr<Job> job = std::exchange(under_way_, nullptr);
  try {
    async_->wait();
  } catch (...) {
    tell(*job);  // of several names the first may have been saved
    throw;
  }
  job->snapshot_seconds = async_->snapshot_seconds();
  tell(*job);
}

void Saver::abandon() noexcept {
  // A rank alone ends in order, and so the destructor waits.
  if (async_ && parts_.platform.world() > 1) {
    async_->abandon(kGrace);
    under_way_ = nullptr;
  }
}

void Saver::tell(const Job& job) {
  report::SaveRecord record;
  record.step = job.request.run.global_step;
  record.async = async_ != nullptr;
  record.stall_seconds = job.stall_seconds;
  record.waited_seconds = job.waited_seconds;
  record.snapshot_seconds = job.snapshot_seconds;
  double seconds = job.snapshot_seconds;
  for (const checkpoint::SaveResult& result : job.results) {
    seconds += result.seconds;
    expected_seconds_ = seconds;
    saved_step_ = record.step;
    saved_path_ = result.path;
    record.name = result.path.substr(result.path.rfind('/') + 1);
    record.bytes = result.bytes;
    record.write_seconds = result.write_seconds;
    record.seconds = result.seconds;
    parts_.run_log.save(record);
    parts_.log.info("saved {} ({}) in {:.1f} s; training stood still for {:.3f} s", result.path,
                    core::format_bytes(static_cast<double>(result.bytes)), result.seconds,
                    record.waited_seconds + record.stall_seconds);
    if (!result.warning.empty()) {
      parts_.log.warn("{}", result.warning);
    }
    // The names after the first are written from the same copy.
    record.stall_seconds = record.waited_seconds = record.snapshot_seconds = 0;
  }
  for (const std::string& name : job.removed) {
    parts_.log.info("removed {}: --keep_last {}", name, job.keep_last);
  }
  if (!job.prune_problem.empty()) {
    parts_.log.warn("old checkpoints stay: {}", job.prune_problem);
  }
}

}  // namespace tessera::train
