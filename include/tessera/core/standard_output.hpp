#pragma once

namespace tessera::core {

/// At the end of a program that answers on stdout: an answer that did not fit on a full disk is none. Throws Error with
/// the system's reason where not all that was printed could be written.
void flush_stdout();

}  // namespace tessera::core
