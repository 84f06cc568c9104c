#include "progress.hpp"

#include "tessera/core/units.hpp"

#include <utility>

namespace tessera::tools {

Progress::Progress(const core::Log& log, std::string what) : log_(log), what_(std::move(what)) {}

double Progress::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

void Progress::update(std::int64_t done_bytes, std::int64_t total_bytes) {
  constexpr std::chrono::milliseconds kInterval{100};
  const auto now = Clock::now();
  if (now - shown_ < kInterval || done_bytes <= 0) {
    return;
  }
  shown_ = now;
  const auto done = static_cast<double>(done_bytes);
  const auto total = static_cast<double>(total_bytes);
  const double rate = done / seconds();
  log_.status(fmt::format("{} {:3.0f}%  {} of {}  {}/s  {} left", what_, 100 * done / total, core::format_bytes(done),
                          core::format_bytes(total), core::format_bytes(rate),
                          core::format_duration((total - done) / rate)));
}

std::string describe_rate(double bytes, double seconds) {
  return fmt::format("{} in {:.1f} s, {}/s", core::format_bytes(bytes), seconds, core::format_bytes(bytes / seconds));
}

}  // namespace tessera::tools
