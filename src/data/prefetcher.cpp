#include "data/prefetcher.hpp"

#include <utility>

namespace tessera::data {

Prefetcher::Prefetcher(const Spec& spec, Work work)
    : spec_(spec), work_(std::move(work)), slots_(static_cast<std::size_t>(spec.num_slots)) {
  for (std::int64_t i = 0; i < spec.num_workers; ++i) {
    workers_.emplace_back([this] { run(); });
  }
}

Prefetcher::~Prefetcher() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& worker : workers_) {
    worker.join();
  }
}

std::int64_t Prefetcher::wait() {
  if (next_out_ == spec_.num_pieces) {
    return -1;
  }
  Slot& slot = slot_of(next_out_);
  if (workers_.empty()) {
    if (!slot.ready) {
      fill(next_out_);
    }
  } else {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return slot.ready; });
  }
  if (slot.error) {
    std::rethrow_exception(slot.error);
  }
  return next_out_ % spec_.num_slots;
}

void Prefetcher::release() {
  {
    const std::scoped_lock lock(mutex_);
    slot_of(next_out_) = {};
    ++next_out_;
  }
  changed_.notify_all();
}

void Prefetcher::run() {
  while (true) {
    std::int64_t piece = 0;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(
          lock, [&] { return stopping_ || next_in_ == spec_.num_pieces || next_in_ < next_out_ + spec_.num_slots; });
      if (stopping_ || next_in_ == spec_.num_pieces) {
        return;
      }
      piece = next_in_++;
    }
    fill(piece);
  }
}

void Prefetcher::fill(std::int64_t piece) {
  std::exception_ptr error;
  try {
    work_(piece, piece % spec_.num_slots);
  } catch (...) {
    error = std::current_exception();
  }
  {
    const std::scoped_lock lock(mutex_);
    slot_of(piece) = {.ready = true, .error = error};
  }
  changed_.notify_all();
}

}  // namespace tessera::data
