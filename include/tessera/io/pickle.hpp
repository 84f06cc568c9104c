#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Python's pickle format, read as a description: nothing is imported, built or called. A pickle that asks for a call
// gives a node that says which one. (CPython's Lib/pickletools.py documents every opcode.)

namespace tessera::io {

enum class PickleKind : std::uint8_t {
  kNone,
  kBool,
  kInteger,
  kReal,
  kText,
  kBytes,  ///< bytes, and integers of more than 64 bits
  kTuple,
  kList,
  kSet,
  kDict,
  kGlobal,      ///< a class or function, by name
  kCall,        ///< what a class or function of this name would have made
  kPersistent,  ///< an object that the program knows by `target`
};

/// A value of a pickle. Texts point into the pickle's bytes, so that those must outlive it. A value may be part of
/// several others, or of itself: recursion over one must have a bound.
struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  std::int64_t integer = 0;                 ///< kInteger; kBool: 0 or 1
  double real = 0;                          ///< kReal
  std::string_view text;                    ///< kText, kBytes; kGlobal and kCall: "module.name"
  std::vector<const PickleValue*> items;    ///< of a container; of a dict, keys and values in turn
  const PickleValue* target = nullptr;      ///< kCall: the tuple of arguments; kPersistent: the id
  const PickleValue* attributes = nullptr;  ///< kCall: the state that its object was given, or null

  [[nodiscard]] bool is(PickleKind wanted) const { return kind == wanted; }
  /// Whether it maps keys to values: a dict, or a call that makes one and is filled afterwards (OrderedDict).
  [[nodiscard]] bool is_mapping() const { return kind == PickleKind::kDict || kind == PickleKind::kCall; }
  [[nodiscard]] bool is_sequence() const { return kind == PickleKind::kTuple || kind == PickleKind::kList; }
  /// Whether it is a call of "module.name".
  [[nodiscard]] bool is_call(std::string_view name) const { return kind == PickleKind::kCall && text == name; }
  /// What stands at a text key of a mapping; null where nothing does, or where this is no mapping.
  [[nodiscard]] const PickleValue* find(std::string_view key) const;
};

/// Whether a pickle may name this "module.name".
using PickleGlobals = std::function<bool(std::string_view name)>;

/// The value of a pickle of protocol 2 to 5. Holds all its parts, which stay where they are when it is moved.
class Pickle {
 public:
  /// `source` names the pickle in messages. Throws UserError for every way in which the bytes are not such a pickle,
  /// with the name where it names a global that `may_name` refuses, and where it has more values than any checkpoint.
  Pickle(std::span<const std::byte> bytes, const PickleGlobals& may_name, const std::string& source);

  [[nodiscard]] const PickleValue& value() const { return *value_; }

 private:
  std::deque<PickleValue> values_;
  std::deque<std::string> names_;
  const PickleValue* value_ = nullptr;
};

}  // namespace tessera::io
