#include "tessera/checkpoint/save.hpp"

#include "checkpoint/limits.hpp"
#include "checkpoint/manifest.hpp"
#include "checkpoint/names.hpp"
#include "checkpoint/save_plan.hpp"
#include "checkpoint/state_file.hpp"
#include "checkpoint/view_memory.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/crc32c.hpp"

#include <fmt/chrono.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <optional>

namespace tessera::checkpoint {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// One attempt to save, step by step. What stands in the run directory under its temporary name is the attempt's.
class Attempt {
 public:
  explicit Attempt(const SaveRequest& request)
      : request_(request),
        group_(request.group),
        path_(request.run_dir + "/" + checkpoint_directory_name(request.name)),
        temporary_(io::temporary_name(path_)),
        state_file_(temporary_ + "/" + std::string(kStateFile)),
        memory_(request.copier) {}

  void prepare() {
    const auto prints = group_.gather(io::crc32c_text(fingerprint(request_.state.tensors)));
    group_.agree([&] {
      core::require(std::count(prints.begin(), prints.end(), prints[0]) == group_.size(), "checkpoint",
                    "the ranks describe different tensors");
      check_tensors(request_.state.tensors);
      views_ = sort_views(request_.state);
    });
    group_.agree([&] {
      if (is_root()) {
        request_.files.make_directories(request_.run_dir);
        request_.files.remove_all(temporary_);
        request_.files.make_directory(temporary_);
        request_.files.announce("create", state_file_);
        offsets_ = create_state_file(state_file_, request_.state.tensors, request_.run);
        request_.files.reserve(state_file_, end_of_tensors());
      }
    });
  }

  void write() {
    // Before the collective open, in which a rank that fails alone would leave the others waiting.
    group_.agree([&] {
      core::require(exists(state_file_), "checkpoint",
                    "rank {} does not see {}, which rank 0 made: the run directory must be on a file system that all "
                    "nodes share",
                    group_.rank(), state_file_);
    });
    std::optional<StateFileWriter> writer;
    group_.agree([&] { writer.emplace(state_file_, request_.state.tensors, group_); });
    const auto start = Clock::now();
    group_.agree([&] {
      for (const auto& [tensor, view] : views_) {
        write_view(*writer, tensor, *view);
      }
    });
    write_seconds_ = seconds_since(start);
    group_.agree([&] { writer->close(); });
    group_.agree([&] { request_.files.sync_file(state_file_); });
  }

  void commit() {
    const auto ranges = group_.gather(pack(written_));
    group_.agree([&] {
      if (is_root()) {
        const std::string manifest = to_text(make_manifest(ranges));
        request_.files.write_file(temporary_ + "/" + std::string(kManifestFile), manifest);
        bytes_ += static_cast<std::int64_t>(manifest.size());
        request_.files.sync_directory(temporary_);
        publish();
      }
    });
  }

  // Removes what is left of a failed attempt; what cannot be removed now, recover() removes later.
  void discard() const noexcept {
    if (!is_root() || published_) {
      return;
    }
    try {
      if (exists(aside_name(path_)) && !exists(path_)) {
        request_.files.rename(aside_name(path_), path_);
      }
      request_.files.remove_all(temporary_);
    } catch (const std::exception&) {
      return;
    }
  }

  SaveResult result(double seconds) const {
    std::array<double, 1> slowest{write_seconds_};
    group_.max(slowest);
    std::array<std::int64_t, 1> bytes{bytes_};
    group_.sum(bytes);
    return {path_, bytes[0], seconds, slowest[0], warning_};
  }

 private:
  bool is_root() const { return group_.rank() == 0; }

  std::int64_t end_of_tensors() const {
    std::int64_t end = 0;
    for (std::size_t i = 0; i < offsets_.size(); ++i) {
      end = std::max(end, offsets_[i] + StoredTensor{request_.state.tensors[i], 0, {}}.num_bytes());
    }
    return end;
  }

  void write_view(StateFileWriter& writer, std::size_t tensor, const state::StateView& view) {
    const auto element_bytes = static_cast<std::int64_t>(core::size_of(view.dtype));
    for (std::int64_t begin = view.begin; begin < view.end;) {
      const std::int64_t end = std::min(view.end, begin + kPieceBytes / element_bytes);
      const auto size = static_cast<std::size_t>((end - begin) * element_bytes);
      const std::byte* const data = memory_.read(view, begin, end);
      request_.files.announce("write", state_file_);
      writer.write(tensor, begin, end, data);
      written_.push_back({static_cast<std::int64_t>(tensor), begin, end, std::int64_t{io::crc32c(data, size)}});
      begin = end;
    }
  }

  Manifest make_manifest(const std::vector<std::string>& ranges_by_rank) {
    Manifest manifest;
    manifest.created = request_.created;
    if (manifest.created.empty()) {
      manifest.created = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
    }
    manifest.run = request_.run;
    manifest.state_bytes = file_bytes(state_file_);
    for (std::size_t i = 0; i < offsets_.size(); ++i) {
      manifest.tensors.push_back({request_.state.tensors[i], offsets_[i], {}});
    }
    for (const std::string& bytes : ranges_by_rank) {
      for (const WrittenRange& range : unpack(bytes)) {
        manifest.tensors[static_cast<std::size_t>(range.tensor)].ranges.push_back(
            {range.begin, range.end, static_cast<std::uint32_t>(range.crc32c)});
      }
    }
    for (StoredTensor& tensor : manifest.tensors) {
      std::ranges::sort(tensor.ranges,
                        [](const StoredRange& left, const StoredRange& right) { return left.begin < right.begin; });
      const auto fault = find_fault(tensor, manifest.state_bytes);
      core::require(!fault, "checkpoint", "the ranks' pieces do not make up the tensors: {} {}", tensor.name(),
                    fault.value_or(""));
    }
    const auto extents = structure_extents(manifest.tensors, manifest.state_bytes, state_file_);
    manifest.structure_crc32c = checksum_extents(state_file_, extents);
    bytes_ = manifest.state_bytes;
    return manifest;
  }

  // The new directory takes its name. Where another has it, the two change places in one instant; on file systems that
  // cannot do that, the old one steps aside first, and recover() knows what to do if the program ends in between.
  void publish() {
    const io::FileSystem& files = request_.files;
    std::string replaced;
    if (exists(path_)) {
      if (files.exchange(temporary_, path_)) {
        replaced = temporary_;
      } else {
        replaced = aside_name(path_);
        files.remove_all(replaced);
        files.rename(path_, replaced);
        files.rename(temporary_, path_);
      }
    } else {
      files.rename(temporary_, path_);
    }
    published_ = true;
    files.sync_directory(request_.run_dir);
    files.atomic_write(request_.run_dir + "/" + std::string(kLatestFile),
                       checkpoint_directory_name(request_.name) + "\n");
    if (!replaced.empty()) {
      remove_replaced(replaced);
    }
  }

  // The checkpoint is saved by now, so that what stays behind is not worth an error: recover() will remove it.
  void remove_replaced(const std::string& path) {
    try {
      request_.files.remove_all(path);
    } catch (const std::exception& error) {
      warning_ = fmt::format("saved, but the checkpoint that it replaces is left: {}", error.what());
    }
  }

  const SaveRequest& request_;
  const topology::Group& group_;
  std::string path_;
  std::string temporary_;
  std::string state_file_;
  std::vector<std::pair<std::size_t, const state::StateView*>> views_;
  std::vector<std::int64_t> offsets_;  // on rank 0
  std::vector<WrittenRange> written_;
  ViewMemory memory_;
  double write_seconds_ = 0;
  std::int64_t bytes_ = 0;
  bool published_ = false;
  std::string warning_;
};

}  // namespace

SaveResult save(const SaveRequest& request) {
  const auto start = Clock::now();
  Attempt attempt(request);
  try {
    attempt.prepare();
    attempt.write();
    attempt.commit();
  } catch (...) {
    attempt.discard();
    throw;
  }
  return attempt.result(seconds_since(start));
}

}  // namespace tessera::checkpoint
