#include "tessera/topology/watchdog.hpp"

#include "tessera/core/error.hpp"
#include "tessera/topology/session.hpp"
#include "topology/watch_mail.hpp"
#include "topology/watch_report.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace tessera::topology {
namespace {

using Clock = core::ProgressBoard::Clock;
using Seconds = std::chrono::duration<double>;

constexpr Seconds kAnswerTime{2};              // that ranks have to report
constexpr Seconds kSpeakerTime{5};             // that the speaking rank has, before another speaks
constexpr std::chrono::seconds kAbortTime{3};  // that MPI_Abort has, before the process ends itself
constexpr int kStartUpFactor = 6;
constexpr unsigned kUnwindingSeconds = 30;
constexpr Seconds kAlarmTime = Seconds(2) + kSpeakerTime + kAnswerTime + kAbortTime;  // from a failure to the end

Clock::duration ticks(Seconds seconds) { return std::chrono::duration_cast<Clock::duration>(seconds); }

std::string name_of(const Group& world, const std::string& device) {
  return fmt::format("rank {} on {}{}", world.rank(), host_name(), device.empty() ? "" : " (" + device + ")");
}

// Where a device has failed, destructors of LibTorch's throw while the error is on its way to main, and so end the
// process: in these words.
struct LastWords {
  std::string who;
  std::function<void()> wait_for_alarm;  // where others are to hear of it
};
LastWords& last_words() {
  static auto& words = *new LastWords;  // never destroyed: what is after it may still end the process
  return words;
}

[[noreturn]] void end_in_words() {
  ::alarm(kUnwindingSeconds);
  std::string what = "std::terminate was called";
  try {
    if (const std::exception_ptr thrown = std::current_exception()) {
      std::rethrow_exception(thrown);
    }
  } catch (const std::exception& error) {
    what = error.what();
  } catch (...) {  // NOLINT(bugprone-empty-catch): there is nothing to say of it
  }
  if (last_words().wait_for_alarm) {
    last_words().wait_for_alarm();
  }
  std::fprintf(stderr, "error: [%s] %s\n", last_words().who.c_str(), what.substr(0, what.find('\n')).c_str());
  ::_exit(1);
}

}  // namespace

class Watchdog::Thread {
 public:
  Thread(const Group& world, const WatchLimits& limits, const std::string& device, DeviceProbe probe)
      : board_(*world.board()),
        rank_(world.rank()),
        size_(world.size()),
        limits_(limits),
        tick_(std::clamp(limits.heartbeat_seconds / 40, 0.02, 0.25)),
        probe_(std::move(probe)),
        names_(world.gather(name_of(world, device))),
        mail_(world),
        thread_([this] { run(); }) {}

  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  // For the main thread, where something has failed. Whether it is the device is the watching thread's to ask, which
  // then tells the others and ends the process; it may not come back from that.
  void wait_for_alarm() {
    std::unique_lock lock(mutex_);
    is_asked_ = true;
    wake_.notify_all();
    const bool answered = wake_.wait_for(lock, kAnswerTime, [this] { return !is_asked_; });
    if (answered && device_failed_) {
      lock.unlock();
      std::this_thread::sleep_for(kAlarmTime);
    }
  }

  ~Thread() {
    {
      const std::scoped_lock lock(mutex_);
      ends_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

 private:
  void run() {
    try {
      watch();
      leave();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "error: the watchdog of %s failed: %s\n", name(rank_).c_str(), error.what());
      die(/*aborts=*/true);
    }
  }

  void watch() {
    heard_ = counted_since_ = last_tick_ = Clock::now();
    std::unique_lock lock(mutex_);
    while (!ends_) {
      const bool asked = is_asked_;
      lock.unlock();
      look(Clock::now(), asked);
      lock.lock();
      if (asked) {
        is_asked_ = false;
        wake_.notify_all();
      }
      wake_.wait_for(lock, tick_, [this] { return ends_ || is_asked_; });
    }
  }

  void look(Clock::time_point now, bool asks_device) {
    if (now - last_tick_ > heartbeat() / 4) {  // this process stood still, and so may have the others
      counted_since_ = now;
    }
    last_tick_ = now;
    while (const auto letter = mail_.receive()) {
      read(*letter, now);
    }
    // That training began is news: from then on this rank's silence is judged sooner.
    const bool trains = board_.state().step >= 0;
    if (now - said_alive_ > heartbeat() / 8 || trains != said_trains_) {
      said_alive_ = now;
      said_trains_ = trains;
      mail_.send(next(), my_report(WatchMessage::kAlive));
    }
    check_previous(now);
    check_wait(now);
    check_device(now, asks_device);
    if (speaks_anyway_at_ && now > *speaks_anyway_at_) {
      speaks_anyway_at_.reset();
      inquire(cause_, about_, now);
    }
    if (answers_until_ && (now > *answers_until_ || reports_.size() == num_asked())) {
      speak();
    }
  }

  void read(const WatchMail::Letter& letter, Clock::time_point now) {
    const WatchMessage& message = letter.message;
    const RankReport report{message.step, message.num_collectives, message.text.data()};
    switch (message.kind) {
      case WatchMessage::kAlive:
        heard_ = now;
        last_[letter.from] = report;
        break;
      case WatchMessage::kBye:
        previous_left_ = true;
        break;
      case WatchMessage::kAlarm:
        if (message.about >= 0) {
          last_[message.about] = report;
        }
        inquire(message.about >= 0 ? silence_of(message.about, message.silent_seconds) : report.text, message.about,
                now);
        break;
      case WatchMessage::kAsk:
        mail_.send(letter.from, my_report(WatchMessage::kReport));
        break;
      case WatchMessage::kReport:
        reports_[letter.from] = report;
        break;
      case WatchMessage::kEnd:
        die(/*aborts=*/false);
      default:
        core::fail("topology", "a message of kind {} for the watchdog: a defect of the program",
                   static_cast<int>(message.kind));
    }
  }

  void check_previous(Clock::time_point now) {
    const Seconds silent = now - std::max(heard_, counted_since_);
    const bool trains = last_[previous()].step >= 0;  // starting up, a process may stand still by itself
    if (!previous_left_ && silent > heartbeat() * (trains ? 1 : kStartUpFactor)) {
      silent_seconds_ = silent.count();
      raise(silence_of(previous(), silent_seconds_), previous(), now);
    }
  }

  void check_wait(Clock::time_point now) {
    const core::ProgressBoard::State state = board_.state();
    const Seconds limit(limits_.collective_seconds * (state.step < 0 ? kStartUpFactor : 1));
    if (state.waits && now - std::max(state.since, counted_since_) > limit) {
      raise(fmt::format("{} has waited for {:.0f} s in {}, longer than --collective_timeout allows: every rank ends",
                        name(rank_), limit.count(), core::to_text(state.awaited)),
            -1, now);
    }
  }

  void check_device(Clock::time_point now, bool asked) {
    if (probe_.error && (asked || now - asked_device_ > std::chrono::seconds(1))) {
      asked_device_ = now;
      if (const std::string error = probe_.error(); !error.empty()) {
        device_failed_ = true;
        raise(fmt::format("the device of {} failed: {}; every rank ends", name(rank_), error), -1, now);
      }
    }
  }

  // To the rank that speaks for all, and if it does not, by this one.
  void raise(const std::string& cause, int about, Clock::time_point now) {
    if (std::exchange(raised_, true)) {
      return;
    }
    const int speaker = about == 0 ? 1 : 0;
    if (speaker == rank_) {
      inquire(cause, about, now);
      return;
    }
    cause_ = cause;
    about_ = about;
    speaks_anyway_at_ = now + ticks(kSpeakerTime);
    WatchMessage alarm;
    alarm.kind = WatchMessage::kAlarm;
    alarm.about = about;
    const RankReport& known = last_[about];
    alarm.step = known.step;
    alarm.num_collectives = known.num_collectives;
    alarm.silent_seconds = silent_seconds_;
    alarm.set_text(about >= 0 ? known.text : cause);
    mail_.send(speaker, alarm);
  }

  void inquire(const std::string& cause, int about, Clock::time_point now) {
    if (answers_until_) {
      return;
    }
    cause_ = cause;
    about_ = about;
    answers_until_ = now + ticks(kAnswerTime);
    reports_[rank_] = my_own_report();
    send_to_others(WatchMessage::kAsk);
  }

  [[noreturn]] void speak() {
    const std::string text = describe_alarm(cause_, names_, reports_, last_);
    std::fprintf(stderr, "error: [watch] %s\n  the run goes on from its newest checkpoint with --resume auto\n",
                 text.c_str());
    send_to_others(WatchMessage::kEnd);
    for (int tries = 0; tries < 10 && !mail_.all_sent(); ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    die(/*aborts=*/true);
  }

  // The main thread may hold anything, and so nothing is unwound.
  [[noreturn]] void die(bool aborts) {
    std::thread([] {
      std::this_thread::sleep_for(kAbortTime);
      ::_exit(1);
    }).detach();
    if (probe_.abort) {
      probe_.abort();
    }
    if (aborts) {
      mail_.abort(1);
    }
    while (true) {
      ::pause();
    }
  }

  void leave() {
    WatchMessage bye;
    bye.kind = WatchMessage::kBye;
    mail_.send(next(), bye);
    for (int tries = 0; tries < 50 && !mail_.all_sent(); ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  void send_to_others(WatchMessage::Kind kind) {
    WatchMessage message;
    message.kind = kind;
    for (int rank = 0; rank < size_; ++rank) {
      if (rank != rank_) {
        mail_.send(rank, message);
      }
    }
  }

  [[nodiscard]] RankReport my_own_report() const {
    return report_of(board_, probe_.completed ? probe_.completed() : -1, counted_since_);
  }
  [[nodiscard]] WatchMessage my_report(WatchMessage::Kind kind) const {
    const RankReport report = my_own_report();
    WatchMessage message;
    message.kind = kind;
    message.step = report.step;
    message.num_collectives = report.num_collectives;
    message.set_text(report.text);
    return message;
  }

  [[nodiscard]] std::string silence_of(int rank, double seconds) const {
    return fmt::format("{} has given no sign of life for {:.0f} s: it is dead, stopped or cut off, and every rank ends",
                       name(rank), seconds);
  }
  [[nodiscard]] const std::string& name(int rank) const { return names_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] int next() const { return (rank_ + 1) % size_; }
  [[nodiscard]] int previous() const { return (rank_ + size_ - 1) % size_; }
  [[nodiscard]] std::size_t num_asked() const { return static_cast<std::size_t>(size_ - (about_ >= 0 ? 1 : 0)); }
  [[nodiscard]] Clock::duration heartbeat() const { return ticks(Seconds(limits_.heartbeat_seconds)); }

  core::ProgressBoard& board_;
  const int rank_;
  const int size_;
  const WatchLimits limits_;
  const Seconds tick_;
  const DeviceProbe probe_;
  const std::vector<std::string> names_;

  // The thread's.
  WatchMail mail_;
  Clock::time_point heard_;          // of the rank before
  Clock::time_point counted_since_;  // when this process went on after it stood still
  Clock::time_point last_tick_;
  Clock::time_point said_alive_;
  bool said_trains_ = false;
  Clock::time_point asked_device_;
  bool device_failed_ = false;  // the main thread reads it once it has its answer
  bool previous_left_ = false;
  bool raised_ = false;
  std::optional<Clock::time_point> speaks_anyway_at_;
  std::optional<Clock::time_point> answers_until_;  // where this rank speaks
  std::string cause_;
  int about_ = -1;
  double silent_seconds_ = 0;  // of that rank
  std::map<int, RankReport> reports_;
  std::map<int, RankReport> last_;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool ends_ = false;
  bool is_asked_ = false;  // for the device, by the main thread
  std::thread thread_;     // last: it uses all of the above
};

Watchdog::Watchdog(const Group& world, const WatchLimits& limits, const std::string& device, DeviceProbe probe) {
  last_words().who = name_of(world, device);
  std::set_terminate(end_in_words);
  if (world.size() > 1) {
    thread_ = std::make_unique<Thread>(world, limits, device, std::move(probe));
    last_words().wait_for_alarm = [this] { thread_->wait_for_alarm(); };
  }
}

Watchdog::~Watchdog() { last_words().wait_for_alarm = nullptr; }

void Watchdog::ends_alone() const noexcept {
  if (thread_) {
    ::alarm(kUnwindingSeconds);
    thread_->wait_for_alarm();
  }
}

}  // namespace tessera::topology
