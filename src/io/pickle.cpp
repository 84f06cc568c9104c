#include "tessera/io/pickle.hpp"

#include "io/pickle_machine.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace tessera::io {
namespace {

using core::UserError;

// A thousand layers with their optimizer state make some hundred thousand.
constexpr std::size_t kMostValues = 4'000'000;

}  // namespace

const PickleValue* PickleValue::find(std::string_view key) const {
  if (!is_mapping()) {
    return nullptr;
  }
  // The last of equal keys is the one that stays.
  for (std::size_t i = items.size(); i >= 2; i -= 2) {
    if (items[i - 2]->is(PickleKind::kText) && items[i - 2]->text == key) {
      return items[i - 1];
    }
  }
  return nullptr;
}

Pickle::Pickle(std::span<const std::byte> bytes, const PickleGlobals& may_name, const std::string& source) {
  value_ = PickleMachine({bytes, source}, may_name, source, values_, names_).run();
}

const PickleValue* PickleMachine::run() {
  constexpr char kProto = '\x80';
  constexpr char kFrame = '\x95';
  constexpr char kStop = '.';
  constexpr int kNewestProtocol = 5;
  if (reader_.number<char>() != kProto) {
    fail_damaged("it is no pickle of protocol 2 or later");
  }
  const int protocol = reader_.number<std::uint8_t>();
  core::require<UserError>(protocol >= 2 && protocol <= kNewestProtocol, "io",
                           "{}: the pickle is of protocol {}; 2 to {} are read", source_, protocol, kNewestProtocol);
  for (char opcode = reader_.number<char>(); opcode != kStop; opcode = reader_.number<char>()) {
    if (opcode == kFrame) {
      reader_.skip(sizeof(std::uint64_t));  // how much to read at once
      continue;
    }
    if (!run_scalar(opcode) && !run_text(opcode) && !run_container(opcode) && !run_memo(opcode) &&
        !run_object(opcode)) {
      core::fail<UserError>("io", "{}: the pickle has opcode {:#04x} at byte {}, which torch.save does not write",
                            source_, static_cast<unsigned char>(opcode), reader_.position() - 1);
    }
  }
  if (!marks_.empty()) {
    fail_damaged("it ends inside of a container");
  }
  return pop();
}

bool PickleMachine::run_scalar(char opcode) {
  switch (opcode) {
    case 'N':
      push(PickleKind::kNone);
      return true;
    case '\x88':
    case '\x89':
      push(PickleKind::kBool).integer = opcode == '\x88' ? 1 : 0;
      return true;
    case 'J':
      push_integer(reader_.number<std::int32_t>());
      return true;
    case 'K':
      push_integer(reader_.number<std::uint8_t>());
      return true;
    case 'M':
      push_integer(reader_.number<std::uint16_t>());
      return true;
    case '\x8a':  // LONG1
      push_long(reader_.text(reader_.number<std::uint8_t>()));
      return true;
    case '\x8b':  // LONG4
      push_long(reader_.text(reader_.number<std::uint32_t>()));
      return true;
    case 'G':  // the one field that is big-endian
      push(PickleKind::kReal).real = std::bit_cast<double>(__builtin_bswap64(reader_.number<std::uint64_t>()));
      return true;
    default:
      return false;
  }
}

bool PickleMachine::run_text(char opcode) {
  switch (opcode) {
    case 'X':
      push_text(PickleKind::kText, reader_.number<std::uint32_t>());
      return true;
    case '\x8c':
      push_text(PickleKind::kText, reader_.number<std::uint8_t>());
      return true;
    case '\x8d':
      push_text(PickleKind::kText, reader_.number<std::uint64_t>());
      return true;
    case 'U':  // Python 2's str
      push_text(PickleKind::kText, reader_.number<std::uint8_t>());
      return true;
    case 'C':
      push_text(PickleKind::kBytes, reader_.number<std::uint8_t>());
      return true;
    case 'B':
      push_text(PickleKind::kBytes, reader_.number<std::uint32_t>());
      return true;
    case '\x8e':
      push_text(PickleKind::kBytes, reader_.number<std::uint64_t>());
      return true;
    default:
      return false;
  }
}

bool PickleMachine::run_container(char opcode) {
  switch (opcode) {
    case '(':
      marks_.push_back(stack_.size());
      return true;
    case ')':
      push(PickleKind::kTuple);
      return true;
    case ']':
      push(PickleKind::kList);
      return true;
    case '}':
      push(PickleKind::kDict);
      return true;
    case '\x8f':
      push(PickleKind::kSet);
      return true;
    case '\x85':
    case '\x86':
    case '\x87':
      push_tuple(static_cast<std::size_t>(opcode - '\x84'));
      return true;
    case 't': {
      auto items = pop_to_mark();
      push(PickleKind::kTuple).items = std::move(items);
      return true;
    }
    case 'a': {
      const PickleValue* const item = pop();
      add_items(PickleKind::kList, {item});
      return true;
    }
    case 'e':
      add_items(PickleKind::kList, pop_to_mark());
      return true;
    case '\x90':
      add_items(PickleKind::kSet, pop_to_mark());
      return true;
    case 's': {
      const PickleValue* const value = pop();
      const PickleValue* const key = pop();
      add_entries({key, value});
      return true;
    }
    case 'u':
      add_entries(pop_to_mark());
      return true;
    default:
      return false;
  }
}

bool PickleMachine::run_memo(char opcode) {
  switch (opcode) {
    case 'q':
      remember(reader_.number<std::uint8_t>());
      return true;
    case 'r':
      remember(reader_.number<std::uint32_t>());
      return true;
    case '\x94':
      remember(memo_.size());
      return true;
    case 'h':
      recall(reader_.number<std::uint8_t>());
      return true;
    case 'j':
      recall(reader_.number<std::uint32_t>());
      return true;
    case '0':
      pop();
      return true;
    case '1':
      pop_to_mark();
      return true;
    default:
      return false;
  }
}

bool PickleMachine::run_object(char opcode) {
  switch (opcode) {
    case 'c': {
      const std::string_view module = line();
      push_global(module, line());
      return true;
    }
    case '\x93': {
      const PickleValue* const name = pop();
      const PickleValue* const module = pop();
      if (!name->is(PickleKind::kText) || !module->is(PickleKind::kText)) {
        fail_damaged("a global's name is no text");
      }
      push_global(module->text, name->text);
      return true;
    }
    case 'R':     // REDUCE
    case '\x81':  // NEWOBJ: both are a callable with a tuple of arguments
      call();
      return true;
    case 'b': {
      const PickleValue* const state = pop();
      if (!top().is(PickleKind::kCall)) {
        fail_damaged("it gives a state to something that is no object");
      }
      top().attributes = state;
      return true;
    }
    case 'Q': {
      const PickleValue* const id = pop();
      push(PickleKind::kPersistent).target = id;
      return true;
    }
    default:
      return false;
  }
}

PickleValue& PickleMachine::make(PickleKind kind) {
  core::require<UserError>(values_.size() < kMostValues, "io", "{}: the pickle has more than {} values", source_,
                           kMostValues);
  values_.emplace_back();
  values_.back().kind = kind;
  return values_.back();
}

PickleValue& PickleMachine::push(PickleKind kind) {
  PickleValue& value = make(kind);
  stack_.push_back(&value);
  return value;
}

void PickleMachine::push_integer(std::int64_t value) { push(PickleKind::kInteger).integer = value; }

// Two's complement, little-endian, in as few bytes as hold it.
void PickleMachine::push_long(std::string_view digits) {
  if (digits.size() > sizeof(std::int64_t)) {
    push(PickleKind::kBytes).text = digits;
    return;
  }
  const bool negative = !digits.empty() && (static_cast<unsigned char>(digits.back()) & 0x80U) != 0;
  std::int64_t value = negative ? -1 : 0;
  std::memcpy(&value, digits.data(), digits.size());
  push_integer(value);
}

void PickleMachine::push_text(PickleKind kind, std::uint64_t size) {
  const std::string_view text = reader_.text(size);
  push(kind).text = text;
}

void PickleMachine::push_tuple(std::size_t count) {
  std::vector<const PickleValue*> items(count);
  for (std::size_t i = count; i-- > 0;) {
    items[i] = pop();
  }
  push(PickleKind::kTuple).items = std::move(items);
}

void PickleMachine::push_global(std::string_view module, std::string_view name) {
  const std::string& full = names_.emplace_back(std::string(module) + "." + std::string(name));
  core::require<UserError>(may_name_(full), "io",
                           "{}: the pickle asks for {}, which is none of the tensors and plain containers that are "
                           "read here; nothing of it was run. Where you trust the file, load it in Python and save it "
                           "without that object",
                           source_, full);
  push(PickleKind::kGlobal).text = full;
}

void PickleMachine::call() {
  const PickleValue* const arguments = pop();
  const PickleValue* const callee = pop();
  if (!callee->is(PickleKind::kGlobal) || !arguments->is(PickleKind::kTuple)) {
    fail_damaged("it calls what is no class or function");
  }
  PickleValue& value = push(PickleKind::kCall);
  value.text = callee->text;
  value.target = arguments;
}

PickleValue* PickleMachine::pop() {
  if (stack_.empty() || (!marks_.empty() && stack_.size() == marks_.back())) {
    fail_damaged("it takes more values than it has");
  }
  PickleValue* const value = stack_.back();
  stack_.pop_back();
  return value;
}

PickleValue& PickleMachine::top() {
  PickleValue* const value = pop();
  stack_.push_back(value);
  return *value;
}

std::vector<const PickleValue*> PickleMachine::pop_to_mark() {
  if (marks_.empty()) {
    fail_damaged("it ends a container that it did not begin");
  }
  const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<const PickleValue*> items(first, stack_.end());
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return items;
}

void PickleMachine::add_items(PickleKind kind, const std::vector<const PickleValue*>& items) {
  PickleValue& container = top();
  if (!container.is(kind)) {
    fail_damaged("it adds items to what is no list or set");
  }
  container.items.insert(container.items.end(), items.begin(), items.end());
}

void PickleMachine::add_entries(const std::vector<const PickleValue*>& items) {
  PickleValue& mapping = top();
  if (!mapping.is_mapping() || items.size() % 2 != 0) {
    fail_damaged("it adds entries to what is no dict");
  }
  mapping.items.insert(mapping.items.end(), items.begin(), items.end());
}

void PickleMachine::remember(std::uint64_t index) { memo_[index] = &top(); }

void PickleMachine::recall(std::uint64_t index) {
  const auto found = memo_.find(index);
  if (found == memo_.end()) {
    fail_damaged("it asks for a value that it did not keep");
  }
  stack_.push_back(found->second);
}

std::string_view PickleMachine::line() {
  ByteReader ahead = reader_;
  std::size_t length = 0;
  while (ahead.number<char>() != '\n') {
    ++length;
  }
  const std::string_view text = reader_.text(length);
  reader_.skip(1);
  return text;
}

void PickleMachine::fail_damaged(std::string_view what) const {
  core::fail<UserError>("io", "{}: the pickle is damaged: {}, at byte {}; copy the file again", source_, what,
                        reader_.position());
}

}  // namespace tessera::io
