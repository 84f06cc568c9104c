#pragma once

#include <utility>

namespace tessera::core {

/// Owner of a foreign handle (stream, event, communicator, file id): calls Destroy once, unless the handle is `Null`.
///
/// Destroy must not throw: it runs in destructors, where there is nobody left to catch.
template <class T, void (*Destroy)(T) noexcept, T Null = T{}>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T raw) : raw_(raw) {}
  Handle(Handle&& other) noexcept : raw_(std::exchange(other.raw_, Null)) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      reset();
      raw_ = std::exchange(other.raw_, Null);
    }
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { reset(); }

  [[nodiscard]] T get() const { return raw_; }
  explicit operator bool() const { return raw_ != Null; }

  /// Gives the handle to the caller, who must destroy it: where destroying can fail, and the failure matters.
  [[nodiscard]] T release() noexcept { return std::exchange(raw_, Null); }

  void reset() noexcept {
    if (raw_ != Null) {
      Destroy(std::exchange(raw_, Null));
    }
  }

 private:
  T raw_ = Null;
};

}  // namespace tessera::core
