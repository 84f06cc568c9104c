#include "tessera/core/progress_board.hpp"

#include "tessera/core/units.hpp"

#include <fmt/core.h>

namespace tessera::core {

std::string to_text(const CollectiveNote& note) {
  std::string text = note.kind;
  if (note.bucket >= 0) {
    text += fmt::format(" of bucket {}", note.bucket);
  }
  if (note.bytes > 0) {
    text += " of " + format_bytes(static_cast<double>(note.bytes));
  }
  if (note.number > 0) {
    text += fmt::format(", collective {}", note.number);
  }
  return text;
}

void ProgressBoard::begin_part(std::int64_t step, std::int64_t micro_step, const char* part) {
  const std::scoped_lock lock(mutex_);
  state_.step = step;
  state_.micro_step = micro_step;
  state_.part = part;
  state_.since = Clock::now();
}

CollectiveNote ProgressBoard::begin_collective(CollectiveNote note) {
  const std::scoped_lock lock(mutex_);
  note.number = ++state_.num_collectives;
  recent_[static_cast<std::size_t>(note.number) % recent_.size()] = note;
  return note;
}

ProgressBoard::Wait::Wait(ProgressBoard* board, const CollectiveNote& note) : board_(board) {
  if (board_ != nullptr) {
    const std::scoped_lock lock(board_->mutex_);
    State& state = board_->state_;
    outermost_ = !state.waits;
    if (outermost_) {
      state.waits = true;
      state.awaited = note;
      state.since = Clock::now();
    }
  }
}

ProgressBoard::Wait::~Wait() {
  if (outermost_) {
    const std::scoped_lock lock(board_->mutex_);
    State& state = board_->state_;
    const Clock::time_point now = Clock::now();
    board_->waited_seconds_ += std::chrono::duration<double>(now - state.since).count();
    state.waits = false;
    state.since = now;
  }
}

ProgressBoard::State ProgressBoard::state() const {
  const std::scoped_lock lock(mutex_);
  return state_;
}

CollectiveNote ProgressBoard::collective(std::int64_t number) const {
  const std::scoped_lock lock(mutex_);
  const CollectiveNote& note = recent_[static_cast<std::size_t>(number) % recent_.size()];
  return note.number == number ? note : CollectiveNote{"a collective", -1, 0, number};
}

double ProgressBoard::waited_seconds() const {
  const std::scoped_lock lock(mutex_);
  return waited_seconds_;
}

}  // namespace tessera::core
