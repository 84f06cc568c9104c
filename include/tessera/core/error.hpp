#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace tessera::core {

/// A failure inside one rank. Messages read "[module] what happened: values; what to do".
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Bad flags, configuration, data or checkpoint, found before training: the program ends with exit status 2.
class UserError : public Error {
 public:
  using Error::Error;
};

/// A UserError that every rank has and knows that all have (Group::agree): one rank speaks for all.
class AgreedUserError : public UserError {
 public:
  using UserError::UserError;
};

/// Any other failure that every rank has alike.
class AgreedError : public Error {
 public:
  using Error::Error;
};

/// Throws E with "[module] " before the formatted text.
template <class E = Error, class... Args>
[[noreturn]] void fail(std::string_view module, fmt::format_string<Args...> text, Args&&... args) {
  throw E("[" + std::string(module) + "] " + fmt::format(text, std::forward<Args>(args)...));
}

/// fail() unless `condition` holds. The text is formatted only on failure.
template <class E = Error, class... Args>
void require(bool condition, std::string_view module, fmt::format_string<Args...> text, Args&&... args) {
  if (!condition) {
    fail<E>(module, text, std::forward<Args>(args)...);
  }
}

}  // namespace tessera::core
