#pragma once

#include "tessera/state/run_state.hpp"
#include "tessera/state/state_view.hpp"
#include "tessera/topology/group.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::checkpoint {

/// Elements [begin, end) of a tensor, row-major, as one rank wrote them in one piece.
struct StoredRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::uint32_t crc32c = 0;
};

/// One data set of a checkpoint: /parameters/PARAMETER/COMPONENT of state.h5.
struct StoredTensor {
  state::TensorInfo info;
  std::int64_t offset = 0;          ///< of the first element in state.h5, in bytes
  std::vector<StoredRange> ranges;  ///< in order; they cover every element once

  [[nodiscard]] std::int64_t num_elements() const;
  [[nodiscard]] std::int64_t num_bytes() const;
  /// "NAME/weight", for messages.
  [[nodiscard]] std::string name() const;
};

struct VerifyOptions {
  int num_threads = 1;
  /// Called from any of the threads, one call at a time.
  std::function<void(std::int64_t done_bytes, std::int64_t total_bytes)> progress{};
};

/// A checkpoint directory, written by any number of ranks. Immutable and safe to share between threads.
///
/// What it returns has been checked: everything but the tensors' bytes when it is opened, and those against the
/// checksums of the ranges that they are in, whenever they are read.
class Reader {
 public:
  /// Throws UserError that says what is wrong where the directory is not a whole checkpoint: no manifest, a damaged or
  /// newer one, a file of another size, a state.h5 whose structure is damaged or does not hold the tensors.
  explicit Reader(const std::string& directory);
  /// The same for all ranks of `node`, which share a machine: its first rank opens and checks the files, and the others
  /// take over what it has. Throws AgreedUserError. Collective over `world`, of which `node` is the part on this node.
  static Reader open_shared(const std::string& directory, const topology::Group& world, const topology::Group& node);

  [[nodiscard]] const std::string& path() const;
  [[nodiscard]] const state::RunState& run_state() const;
  [[nodiscard]] const std::string& created() const;
  /// In the order in which the run describes them.
  [[nodiscard]] const std::vector<StoredTensor>& tensors() const;
  /// Null where the checkpoint has no such tensor.
  [[nodiscard]] const StoredTensor* find(std::string_view parameter, state::Component component) const;
  /// Of manifest and state file.
  [[nodiscard]] std::int64_t num_bytes() const;

  /// Elements [begin, end) in the stored type, to `host`. Reads at most one more range than the elements are in, at
  /// either end, to check them. Throws UserError that names tensor and range where the bytes are not those that were
  /// written.
  void read(const StoredTensor& tensor, std::int64_t begin, std::int64_t end, void* host) const;
  /// As many elements as `values` has, from `begin` on, as fp32.
  void read_floats(const StoredTensor& tensor, std::int64_t begin, std::span<float> values) const;

  /// Reads everything. One message per range whose bytes are not those that were written; none: the checkpoint is
  /// whole.
  [[nodiscard]] std::vector<std::string> verify(const VerifyOptions& options = {}) const;

 private:
  struct Contents;
  explicit Reader(std::shared_ptr<const Contents> contents) : contents_(std::move(contents)) {}
  std::shared_ptr<const Contents> contents_;
};

}  // namespace tessera::checkpoint
