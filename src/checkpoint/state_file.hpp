#pragma once

#include "checkpoint/hdf5.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/state/run_state.hpp"
#include "tessera/state/state_view.hpp"
#include "tessera/topology/group.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::checkpoint {

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

  /// Elements [begin, end) of tensor number `tensor` from host memory, in the stored type. At most kPieceBytes.
  void write(std::size_t tensor, std::int64_t begin, std::int64_t end, const void* data);

  /// Closes the file. Collective over the group, as is the destructor where this was not called.
  void close();

 private:
  const h5::DataSet& open_tensor(std::size_t tensor);

  std::string path_;
  const std::vector<state::TensorInfo>& tensors_;
  h5::QuietErrors quiet_;
  h5::File file_;
  h5::Properties independent_;
  h5::DataSet data_set_;  // of the tensor that was written last
  std::size_t open_ = 0;
};

/// Throws UserError unless state.h5 holds every tensor under its name, in its shape and type, at its offset.
void check_state_file(const std::string& path, const std::vector<StoredTensor>& tensors);

/// CRC-32C of the bytes of a file in these extents, one after the other. Throws UserError where they cannot be read.
std::uint32_t checksum_extents(const std::string& path,
                               const std::vector<std::pair<std::int64_t, std::int64_t>>& extents);

}  // namespace tessera::checkpoint
