#pragma once

#include "io/byte_reader.hpp"
#include "tessera/io/pickle.hpp"

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tessera::io {

/// The stack machine that a pickle is a program for. Values lie in the given stores.
class PickleMachine {
 public:
  PickleMachine(ByteReader reader, const PickleGlobals& may_name, const std::string& source,
                std::deque<PickleValue>& values, std::deque<std::string>& names)
      : reader_(reader), may_name_(may_name), source_(source), values_(values), names_(names) {}

  /// Runs to the end and returns what is left.
  const PickleValue* run();

 private:
  // Each takes the opcode when it is one of its kind.
  bool run_scalar(char opcode);
  bool run_text(char opcode);
  bool run_container(char opcode);
  bool run_memo(char opcode);
  bool run_object(char opcode);

  PickleValue& make(PickleKind kind);
  PickleValue& push(PickleKind kind);
  void push_integer(std::int64_t value);
  void push_long(std::string_view digits);
  void push_text(PickleKind kind, std::uint64_t size);
  void push_tuple(std::size_t count);
  void push_global(std::string_view module, std::string_view name);
  void call();
  PickleValue* pop();
  PickleValue& top();
  /// The values above the topmost mark, taken off the stack with it.
  std::vector<const PickleValue*> pop_to_mark();
  void add_items(PickleKind kind, const std::vector<const PickleValue*>& items);
  void add_entries(const std::vector<const PickleValue*>& items);
  void remember(std::uint64_t index);
  void recall(std::uint64_t index);
  std::string_view line();
  [[noreturn]] void fail_damaged(std::string_view what) const;

  ByteReader reader_;
  const PickleGlobals& may_name_;
  const std::string& source_;
  std::deque<PickleValue>& values_;
  std::deque<std::string>& names_;
  std::vector<PickleValue*> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, PickleValue*> memo_;
};

}  // namespace tessera::io
