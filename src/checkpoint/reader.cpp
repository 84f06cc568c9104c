#include "tessera/checkpoint/reader.hpp"

#include "checkpoint/flat_range.hpp"
#include "checkpoint/limits.hpp"
#include "checkpoint/manifest.hpp"
#include "checkpoint/state_file.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/convert.hpp"
#include "tessera/io/crc32c.hpp"
#include "tessera/io/random_access_file.hpp"
#include "tessera/topology/shared_files.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <filesystem>
#include <map>
#include <mutex>
#include <thread>

namespace tessera::checkpoint {
namespace {

using core::UserError;

std::string state_path(const std::string& directory) { return directory + "/" + std::string(kStateFile); }

// Before HDF5 sees the file: its structure is that which was written, so that no damage can lead the library astray.
Manifest read_checked_manifest(const std::string& directory) {
  Manifest manifest = read_manifest(directory);
  const std::string path = state_path(directory);
  const auto extents = structure_extents(manifest.tensors, manifest.state_bytes, path);
  core::require<UserError>(
      checksum_extents(path, extents) == manifest.structure_crc32c, "checkpoint",
      "{} is damaged: its structure does not agree with the checksum in {}; use another checkpoint", path,
      kManifestFile);
  check_state_file(path, manifest.tensors);
  return manifest;
}

}  // namespace

std::int64_t StoredTensor::num_elements() const { return count_elements(info.shape); }

std::int64_t StoredTensor::num_bytes() const {
  return num_elements() * static_cast<std::int64_t>(core::size_of(info.dtype));
}

std::string StoredTensor::name() const { return info.parameter + "/" + state::name_of(info.component); }

struct Reader::Contents {
  explicit Contents(const std::string& path)
      : directory(path), manifest(read_checked_manifest(path)), file(state_path(path)) {
    index();
  }
  // What another rank of this node has read and checked, over its open file.
  Contents(const std::string& path, const std::string& manifest_text, int state_file)
      : directory(path), manifest(parse_manifest(manifest_text, path)), file(state_path(path), state_file) {
    index();
  }

  void index() {
    for (const StoredTensor& tensor : manifest.tensors) {
      by_name[{tensor.info.parameter, tensor.info.component}] = &tensor;
    }
  }

  // One whole range, compared with its checksum.
  void read_range(const StoredTensor& tensor, const StoredRange& range, void* target) const {
    const auto element_bytes = static_cast<std::int64_t>(core::size_of(tensor.info.dtype));
    const auto size = static_cast<std::size_t>((range.end - range.begin) * element_bytes);
    const std::int64_t offset = tensor.offset + range.begin * element_bytes;
    file.read(offset, size, target);
    core::require<UserError>(io::crc32c(target, size) == range.crc32c, "checkpoint",
                             "{} is damaged: {}, elements {} to {} (bytes {} to {} of the file), are not what was "
                             "written; use another checkpoint",
                             file.path(), tensor.name(), range.begin, range.end, offset,
                             offset + static_cast<std::int64_t>(size));
  }

  std::string directory;
  Manifest manifest;
  io::RandomAccessFile file;
  std::map<std::pair<std::string, state::Component>, const StoredTensor*, std::less<>> by_name;
};

Reader::Reader(const std::string& directory) : contents_(std::make_shared<const Contents>(directory)) {}

Reader Reader::open_shared(const std::string& directory, const topology::Group& world, const topology::Group& node) {
  const bool is_first = node.rank() == 0;
  std::shared_ptr<const Contents> contents;
  const topology::OpenFiles files = topology::open_once_a_node(world, node, [&] {
    contents = std::make_shared<const Contents>(directory);
    return topology::OpenFiles{node.size() > 1 ? to_text(contents->manifest) : "", {contents->file.descriptor()}};
  });
  world.agree([&] {
    if (!is_first && files.descriptors.empty()) {  // which this system cannot pass
      contents = std::make_shared<const Contents>(directory);
    } else if (!is_first) {
      contents = std::make_shared<const Contents>(directory, files.text, files.descriptors.front());
    }
  });
  return Reader(std::move(contents));
}

const std::string& Reader::path() const { return contents_->directory; }
const state::RunState& Reader::run_state() const { return contents_->manifest.run; }
const std::string& Reader::created() const { return contents_->manifest.created; }
const std::vector<StoredTensor>& Reader::tensors() const { return contents_->manifest.tensors; }

const StoredTensor* Reader::find(std::string_view parameter, state::Component component) const {
  const auto found = contents_->by_name.find(std::pair(std::string(parameter), component));
  return found == contents_->by_name.end() ? nullptr : found->second;
}

std::int64_t Reader::num_bytes() const {
  const auto manifest = std::filesystem::file_size(path() + "/" + std::string(kManifestFile));
  return contents_->manifest.state_bytes + static_cast<std::int64_t>(manifest);
}

void Reader::read(const StoredTensor& tensor, std::int64_t begin, std::int64_t end, void* host) const {
  core::require(0 <= begin && begin <= end && end <= tensor.num_elements(), "checkpoint",
                "elements {} to {} of {} were asked for, which has {}", begin, end, tensor.name(),
                tensor.num_elements());
  const std::size_t element_bytes = core::size_of(tensor.info.dtype);
  auto* const target = static_cast<std::byte*>(host);
  std::vector<std::byte> whole;
  auto range = std::ranges::upper_bound(tensor.ranges, begin, {}, &StoredRange::end);
  for (; range != tensor.ranges.end() && range->begin < end; ++range) {
    const std::int64_t first = std::max(begin, range->begin);
    const std::int64_t last = std::min(end, range->end);
    std::byte* const part = target + static_cast<std::size_t>(first - begin) * element_bytes;
    if (first == range->begin && last == range->end) {
      contents_->read_range(tensor, *range, part);
      continue;
    }
    whole.resize(static_cast<std::size_t>(range->end - range->begin) * element_bytes);
    contents_->read_range(tensor, *range, whole.data());
    std::memcpy(part, whole.data() + static_cast<std::size_t>(first - range->begin) * element_bytes,
                static_cast<std::size_t>(last - first) * element_bytes);
  }
}

void Reader::read_floats(const StoredTensor& tensor, std::int64_t begin, std::span<float> values) const {
  std::vector<std::byte> stored(values.size() * core::size_of(tensor.info.dtype));
  read(tensor, begin, begin + static_cast<std::int64_t>(values.size()), stored.data());
  io::convert_elements(tensor.info.dtype, stored.data(), core::DType::kFloat32, values.data(), values.size());
}

namespace {

struct Task {
  const StoredTensor* tensor;
  const StoredRange* range;
};

std::int64_t bytes_of(const Task& task) {
  return (task.range->end - task.range->begin) * static_cast<std::int64_t>(core::size_of(task.tensor->info.dtype));
}

// Work shared by the threads of verify().
class Verification {
 public:
  Verification(const Reader& reader, const VerifyOptions& options) : reader_(reader), options_(options) {
    for (const StoredTensor& tensor : reader.tensors()) {
      for (const StoredRange& range : tensor.ranges) {
        tasks_.push_back({&tensor, &range});
        total_bytes_ += bytes_of(tasks_.back());
      }
    }
    problems_.resize(tasks_.size());
  }

  std::vector<std::string> run() {
    std::vector<std::thread> threads = start_helpers();
    work();
    for (std::thread& thread : threads) {
      thread.join();
    }
    std::erase(problems_, "");
    return std::move(problems_);
  }

 private:
  // Beside this thread; fewer than were asked for where there is less to do, or the system gives no more.
  std::vector<std::thread> start_helpers() {
    std::vector<std::thread> threads;
    const std::size_t most = std::min(tasks_.size(), static_cast<std::size_t>(std::max(options_.num_threads, 1)));
    try {
      while (threads.size() + 1 < most) {
        threads.emplace_back([this] { work(); });
      }
    } catch (const std::system_error&) {
      return threads;
    }
    return threads;
  }

  void work() {
    std::vector<std::byte> buffer;
    for (std::size_t i = next_++; i < tasks_.size(); i = next_++) {
      const Task& task = tasks_[i];
      try {
        buffer.resize(static_cast<std::size_t>(bytes_of(task)));
        reader_.read(*task.tensor, task.range->begin, task.range->end, buffer.data());
      } catch (const std::exception& error) {
        problems_[i] = error.what();
      }
      report(bytes_of(task));
    }
  }

  void report(std::int64_t bytes) {
    const std::scoped_lock lock(mutex_);
    done_bytes_ += bytes;
    if (options_.progress) {
      options_.progress(done_bytes_, total_bytes_);
    }
  }

  const Reader& reader_;
  const VerifyOptions& options_;
  std::vector<Task> tasks_;
  std::vector<std::string> problems_;  // by task; each element belongs to the thread that took the task
  std::atomic<std::size_t> next_ = 0;
  std::mutex mutex_;
  std::int64_t done_bytes_ = 0;
  std::int64_t total_bytes_ = 0;
};

}  // namespace

std::vector<std::string> Reader::verify(const VerifyOptions& options) const {
  return Verification(*this, options).run();
}

}  // namespace tessera::checkpoint
