#include "tessera/core/standard_output.hpp"

#include "tessera/core/error.hpp"

#include <cerrno>
#include <cstdio>
#include <system_error>

namespace tessera::core {

void flush_stdout() {
  const bool flushed = std::fflush(stdout) == 0;
  const int reason = flushed ? EIO : errno;  // of an earlier write that failed nothing more is known
  require(flushed && std::ferror(stdout) == 0, "core", "cannot write to stdout: {}",
          std::generic_category().message(reason));
}

}  // namespace tessera::core
