#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

namespace tessera::engine {

/// A thread that does what it is given, one job after another in the order of submission.
class Worker {
 public:
  Worker() : thread_([this] { run(); }) {}
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() { stop(); }

  /// Waits for the job under way, and leaves the others undone: their futures throw. Nothing is done afterwards.
  void stop();

  /// The future's get() waits for the end of `job`, and throws what it threw.
  std::shared_future<void> submit(std::function<void()> job);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::packaged_task<void()>> jobs_;
  bool ends_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace tessera::engine
