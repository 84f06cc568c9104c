#pragma once

#include "tessera/state/run_state.hpp"
#include "tessera/state/state_view.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::test {

struct NamedExtents {
  std::string name;
  std::vector<std::int64_t> shape;
};

/// A checkpoint of a bf16 run whose every value is 0, as a save would leave it but for the tensors' bytes, which are
/// holes in state.h5: of any size, with hardly any room on the disk. Returns its path, RUN_DIR/checkpoint-sparse.
std::string write_sparse_checkpoint(const std::string& run_dir, const std::vector<NamedExtents>& parameters,
                                    const state::RunState& run);

/// What a program took that was started and ended.
struct MeasuredRun {
  int status = 0;  ///< its exit status; 128 and the signal where one ended it
  double seconds = 0;
  std::int64_t peak_bytes = 0;  ///< of resident memory; the page cache does not count
};

/// Runs a program whose output goes to /dev/null, errors apart. While it writes `growing`, what it has written there is
/// punched out again, so that only the last part takes room on the disk; empty: nothing is.
MeasuredRun run_measured(const std::vector<std::string>& words, const std::string& growing);

}  // namespace tessera::test
