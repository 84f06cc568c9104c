#pragma once

#include "tessera/checkpoint/reader.hpp"
#include "tessera/state/run_state.hpp"
#include "tessera/state/state_view.hpp"
#include "tessera/topology/group.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

// No header of HDF5 here: what uses this is compiled once, for the parallel HDF5 and the serial one.

namespace tessera::checkpoint {

/// Throws Error where state.h5 has no type for such elements.
void check_storable(core::DType dtype);

/// Makes state.h5 with everything but the tensors' values: groups, data sets with their space, the run's state. One
/// rank does it with the serial driver, so that the many small changes of metadata need no other rank, and a failure
/// here (a full disk above all) leaves nobody waiting in a collective call. Returns each tensor's offset in the file.
std::vector<std::int64_t> create_state_file(const std::string& path, const std::vector<state::TensorInfo>& tensors,
                                            const state::RunState& run);

/// The tensors of an existing state.h5, opened by all ranks of a group over MPI-IO (by the serial driver where the
/// group has no communicator). Each rank writes its ranges independently of the others; no metadata changes.
class StateFileWriter {
 public:
  /// Collective over the group. Throws Error on the rank that cannot.
  StateFileWriter(const std::string& path, const std::vector<state::TensorInfo>& tensors, const topology::Group& group);
  StateFileWriter(const StateFileWriter&) = delete;
  StateFileWriter& operator=(const StateFileWriter&) = delete;
  StateFileWriter(StateFileWriter&&) = delete;
  StateFileWriter& operator=(StateFileWriter&&) = delete;
  ~StateFileWriter();

  /// Elements [begin, end) of tensor number `tensor` from host memory, in the stored type. At most kPieceBytes.
  void write(std::size_t tensor, std::int64_t begin, std::int64_t end, const void* data);

  /// Closes the file. Collective over the group, as is the destructor where this was not called.
  void close();

 private:
  struct Open;

  std::string path_;
  const std::vector<state::TensorInfo>& tensors_;
  std::unique_ptr<Open> open_;
};

/// Throws UserError unless state.h5 holds every tensor under its name, in its shape and type, at its offset.
void check_state_file(const std::string& path, const std::vector<StoredTensor>& tensors);

/// CRC-32C of the bytes of a file in these extents, one after the other. Throws UserError where they cannot be read.
std::uint32_t checksum_extents(const std::string& path,
                               const std::vector<std::pair<std::int64_t, std::int64_t>>& extents);

}  // namespace tessera::checkpoint
