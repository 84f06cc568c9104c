#include "tessera/checkpoint/async_saver.hpp"

#include "tessera/core/error.hpp"
#include "tessera/core/units.hpp"

#include <cstring>
#include <exception>
#include <future>
#include <new>
#include <thread>
#include <utility>

namespace tessera::checkpoint {
namespace {

using Clock = std::chrono::steady_clock;

bool is_ready(const std::future<void>& future) {
  return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

// Touched here, so that too little memory shows before training, and the first copy is as fast as the others.
std::shared_ptr<std::byte> heap_memory(std::size_t bytes) {
  const std::shared_ptr<std::byte[]> memory(new std::byte[bytes]());
  return {memory, memory.get()};
}

}  // namespace

std::int64_t snapshot_bytes(const state::StateDescription& state) {
  std::int64_t bytes = 0;
  for (const state::StateView& view : state.mine) {
    bytes += view.num_bytes();
  }
  return bytes;
}

// Everything that the thread touches.
class AsyncSaver::Job : public std::enable_shared_from_this<Job> {
 public:
  Job(const topology::Group& group, SnapshotMeans means) : group_(group.duplicate()), means_(std::move(means)) {}

  void allocate(std::int64_t bytes) {
    group_.agree([&] {
      try {
        const auto size = static_cast<std::size_t>(bytes);
        memory_ = means_.allocate ? means_.allocate(size) : heap_memory(size);
        bytes_ = bytes;
      } catch (const std::exception& error) {
        core::fail<core::UserError>(
            "checkpoint",
            "rank {} cannot take {} of host memory for a copy of its part of the state ({}); use more ranks, or "
            "--async_save false, which needs none",
            group_.rank(), core::format_bytes(static_cast<double>(bytes)), error.what());
      }
    });
  }

  void start(const state::StateDescription& state, Work work) {
    core::require(!under_way_, "checkpoint", "a save was begun while another is under way");
    core::require(checkpoint::snapshot_bytes(state) == bytes_, "checkpoint",
                  "the state has {} bytes here, the memory for its copy {}", checkpoint::snapshot_bytes(state), bytes_);
    source_ = state;
    work_ = std::move(work);
    std::promise<void> copied;
    std::promise<void> done;
    copied_ = copied.get_future();
    done_ = done.get_future();
    if (means_.begin) {
      means_.begin();
    }
    thread_ = std::thread([self = shared_from_this(), copied = std::move(copied), done = std::move(done)]() mutable {
      self->run(copied, done);
    });
    under_way_ = true;
  }

  void wait_for_snapshot() const {
    if (under_way_) {
      copied_.wait();
    }
  }

  [[nodiscard]] bool is_under_way() const { return under_way_; }
  [[nodiscard]] bool is_done() const { return !under_way_ || is_ready(done_); }

  void wait() {
    if (under_way_) {
      thread_.join();
      under_way_ = false;
      done_.get();
    }
  }

  void abandon(std::chrono::milliseconds grace) {
    if (!under_way_) {
      return;
    }
    copied_.wait();  // the state is about to go; a copy ends by itself
    if (done_.wait_for(grace) == std::future_status::ready) {
      thread_.join();
    } else {
      thread_.detach();
    }
    under_way_ = false;
  }

  [[nodiscard]] std::int64_t bytes() const { return bytes_; }
  [[nodiscard]] double copy_seconds() const { return copy_seconds_; }

 private:
  void run(std::promise<void>& copied, std::promise<void>& done) {
    try {
      // A rank that cannot copy must tell the others before they begin to work together.
      group_.agree([&] {
        try {
          copy();
        } catch (...) {
          copied.set_value();
          throw;
        }
        copied.set_value();
      });
      work_(copy_, group_);
      done.set_value();
    } catch (...) {
      done.set_exception(std::current_exception());
    }
  }

  void copy() {
    const auto start = Clock::now();
    copy_ = source_;
    std::byte* next = memory_.get();
    const auto take = [&](void*& data, std::int64_t size) {
      const auto bytes = static_cast<std::size_t>(size);
      if (means_.to_host) {
        means_.to_host(next, data, bytes);
      } else {
        std::memcpy(next, data, bytes);
      }
      data = next;
      next += bytes;
    };
    for (state::StateView& view : copy_.mine) {
      if (view.scales != nullptr) {
        take(view.scales, view.num_scale_bytes());
        take(view.data, view.num_elements());
      } else if (view.low == nullptr) {
        take(view.data, view.num_bytes());
      } else {
        take(view.data, view.num_bytes() / 2);
        take(view.low, view.num_bytes() / 2);
      }
    }
    copy_seconds_ = std::chrono::duration<double>(Clock::now() - start).count();
  }

  const topology::Group group_;
  const SnapshotMeans means_;
  std::shared_ptr<std::byte> memory_;
  std::int64_t bytes_ = 0;
  state::StateDescription source_;
  state::StateDescription copy_;
  Work work_;
  double copy_seconds_ = 0;
  // The training thread's.
  bool under_way_ = false;
  std::thread thread_;
  std::future<void> copied_;
  std::future<void> done_;
};

AsyncSaver::AsyncSaver(const topology::Group& group, const state::StateDescription& state, SnapshotMeans means)
    : job_(std::make_shared<Job>(group, std::move(means))) {
  job_->allocate(checkpoint::snapshot_bytes(state));
}

AsyncSaver::~AsyncSaver() {
  try {
    job_->wait();
  } catch (const std::exception&) {
    return;  // whoever wanted to know has called wait()
  }
}

void AsyncSaver::start(const state::StateDescription& state, Work work) { job_->start(state, std::move(work)); }
void AsyncSaver::wait_for_snapshot() { job_->wait_for_snapshot(); }
bool AsyncSaver::is_under_way() const { return job_->is_under_way(); }
bool AsyncSaver::is_done() const { return job_->is_done(); }
void AsyncSaver::wait() { job_->wait(); }

void AsyncSaver::abandon(std::chrono::milliseconds grace) noexcept {
  try {
    job_->abandon(grace);
  } catch (const std::exception&) {
    return;  // threads and futures fail only where they are used wrongly
  }
}

std::int64_t AsyncSaver::snapshot_bytes() const { return job_->bytes(); }
double AsyncSaver::snapshot_seconds() const { return job_->copy_seconds(); }

}  // namespace tessera::checkpoint
