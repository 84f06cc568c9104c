#pragma once

#include <functional>
#include <string>

namespace tessera::checkpoint {

/// Runs `work` in a child process and returns its text, so that a library that a damaged file makes crash or spin takes
/// nothing with it. A core::UserError of `work` is thrown here; where the child dies or takes more than `seconds`, a
/// UserError says so of `what` ("HDF5, reading weights.h5"). The child shares nothing back but the text; it does not
/// run destructors of the program, and must not call MPI or CUDA.
std::string run_in_child(const std::string& what, const std::function<std::string()>& work, unsigned seconds = 300);

}  // namespace tessera::checkpoint
