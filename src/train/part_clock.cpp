#include "train/part_clock.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace tessera::train {

void PartClock::mark(const char* part) {
  marks_.push_back({part, Clock::now(), {}});
  if (!device_.is_cpu()) {
    // The backend's own default, since PyTorch's leaves the times out.
    marks_.back().event.emplace(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
    marks_.back().event->record(guard_.getStream(device_));
  }
}

std::map<std::string, double> PartClock::take_until(const std::string& part) {
  std::map<std::string, double> sums;
  const auto last = std::ranges::find(marks_.rbegin(), marks_.rend(), part, &Mark::part);
  if (last == marks_.rend()) {
    return sums;
  }
  if (last->event) {
    last->event->synchronize();
  }
  const auto end = std::prev(last.base());
  for (auto mark = marks_.begin(); mark != end; ++mark) {
    sums[std::next(mark)->part] += between(*mark, *std::next(mark));
  }
  marks_.erase(marks_.begin(), end);
  return sums;
}

double PartClock::between(const Mark& from, const Mark& to) const {
  // elapsedTime tells milliseconds.
  return device_.is_cpu() ? std::chrono::duration<double>(to.time - from.time).count()
                          : from.event->elapsedTime(*to.event) / 1e3;
}

}  // namespace tessera::train
