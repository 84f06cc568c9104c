// Loaded before a program (LD_PRELOAD), writes the path of every file or directory that it opens below
// $TESSERA_COUNT_BELOW as a line of $TESSERA_COUNT_TO. The opens are those of the C library's functions, which the
// standard library and HDF5 call too.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

using Open = int(const char*, int, ...);
using OpenAt = int(int, const char*, int, ...);
using OpenDirectory = DIR*(const char*);
using FileOpen = FILE*(const char*, const char*);

void count(const char* path) {
  const char* const below = std::getenv("TESSERA_COUNT_BELOW");
  const char* const to = std::getenv("TESSERA_COUNT_TO");
  if (below == nullptr || to == nullptr || path == nullptr || std::strncmp(path, below, std::strlen(below)) != 0) {
    return;
  }
  static Open* const open_next = next<Open>("open");
  const int file = open_next(to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const std::string line = std::string(path) + "\n";
  if (file >= 0) {
    (void)!write(file, line.data(), line.size());  // one write to a file opened for appending: lines stay whole
    close(file);
  }
}

mode_t mode_in(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

int open_through(const char* name, const char* path, int flags, mode_t mode) {
  count(path);
  return next<Open>(name)(path, flags, mode);
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  return open_through("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  return open_through("open64", path, flags, mode);
}

int openat(int directory, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  count(path);
  return next<OpenAt>("openat")(directory, path, flags, mode);
}

DIR* opendir(const char* path) {
  count(path);
  return next<OpenDirectory>("opendir")(path);
}

FILE* fopen(const char* path, const char* mode) {
  count(path);
  return next<FileOpen>("fopen")(path, mode);
}

FILE* fopen64(const char* path, const char* mode) {
  count(path);
  return next<FileOpen>("fopen64")(path, mode);
}
}
