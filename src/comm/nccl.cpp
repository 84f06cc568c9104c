#include "comm/backends.hpp"
#include "comm/cuda_handles.hpp"
#include "tessera/comm/make_collectives.hpp"
#include "tessera/core/error.hpp"

#include <nccl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <span>
#include <utility>
#include <vector>

namespace tessera::comm {
namespace {

void check(ncclResult_t status, const char* what) {
  if (status != ncclSuccess) {
    core::fail("comm", "{} failed: {} ({})", what, ncclGetErrorString(status), ncclGetLastError(nullptr));
  }
}

void destroy_comm(ncclComm_t comm) noexcept { ncclCommDestroy(comm); }

ncclDataType_t to_nccl(core::DType dtype) {
  switch (dtype) {
    case core::DType::kFloat32:
      return ncclFloat32;
    case core::DType::kBFloat16:
      return ncclBfloat16;
    case core::DType::kFloat16:
      return ncclFloat16;
  }
  core::fail("comm", "a type that NCCL is not given here");
}

// Events are reused: a step has hundreds of collectives, and making an event costs more than recording one.
class EventPool {
 public:
  Event take() {
    if (free_.empty()) {
      return make_event();
    }
    Event event = std::move(free_.back());
    free_.pop_back();
    return event;
  }
  void give_back(Event event) { free_.push_back(std::move(event)); }

 private:
  std::vector<Event> free_;
};

class EventPending final : public Ticket::Pending {
 public:
  EventPending(EventPool& pool, Event event) : pool_(pool), event_(std::move(event)) {}
  void wait(core::Stream consumer) override {
    check_cuda(cudaStreamWaitEvent(to_cuda(consumer), event_.get(), 0), "cudaStreamWaitEvent");
    pool_.give_back(std::move(event_));
  }

 private:
  EventPool& pool_;
  Event event_;
};

class NcclCollectives final : public Collectives {
 public:
  NcclCollectives(int rank, int size, const ncclUniqueId& id) : rank_(rank), size_(size), stream_(make_stream()) {
    ncclComm_t comm = nullptr;
    check(ncclCommInitRank(&comm, size, id, rank), "ncclCommInitRank");
    comm_ = core::Handle<ncclComm_t, destroy_comm>(comm);
    check_cuda(cudaGetDevice(&device_), "cudaGetDevice");
    std::ranges::generate(ends_, make_event);
  }
  NcclCollectives(const NcclCollectives&) = delete;
  NcclCollectives& operator=(const NcclCollectives&) = delete;
  ~NcclCollectives() override {
    if (aborted_) {
      static_cast<void>(comm_.release());
    }
  }

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }
  [[nodiscard]] std::string name() const override { return "nccl"; }

  [[nodiscard]] std::string device_error() override {
    ncclResult_t found = ncclSuccess;
    if (aborted_ || ncclCommGetAsyncError(comm_.get(), &found) != ncclSuccess) {
      return {};
    }
    return found == ncclSuccess || found == ncclInProgress
               ? cuda_error_of(device_)
               : fmt::format("NCCL: {} ({})", ncclGetErrorString(found), ncclGetLastError(comm_.get()));
  }
  // On its stream they end in the order in which they began.
  [[nodiscard]] std::int64_t num_completed() override {
    if (cudaSetDevice(device_) != cudaSuccess) {  // of the watchdog's thread
      return -1;
    }
    const std::int64_t begun = num_begun_;
    const std::int64_t oldest = std::max<std::int64_t>(0, begun - static_cast<std::int64_t>(ends_.size()));
    for (std::int64_t done = begun; done > oldest; --done) {
      const cudaError_t status = cudaEventQuery(end_of(done).get());
      if (status != cudaErrorNotReady) {
        return status == cudaSuccess ? done : -1;
      }
    }
    return oldest;
  }
  void abort() noexcept override {
    if (!aborted_.exchange(true)) {
      ncclCommAbort(comm_.get());
    }
  }

  Ticket reduce_scatter(const void* send, void* receive, std::size_t count, core::DType dtype,
                        core::Stream producer) override {
    return issue(producer, "ncclReduceScatter", [&] {
      return ncclReduceScatter(send, receive, count, to_nccl(dtype), ncclSum, comm_.get(), stream_.get());
    });
  }
  Ticket all_gather(const void* send, void* receive, std::size_t count, core::DType dtype,
                    core::Stream producer) override {
    return issue(producer, "ncclAllGather",
                 [&] { return ncclAllGather(send, receive, count, to_nccl(dtype), comm_.get(), stream_.get()); });
  }
  Ticket all_reduce(void* buffer, std::size_t count, core::DType dtype, core::Stream producer) override {
    return issue(producer, "ncclAllReduce", [&] {
      return ncclAllReduce(buffer, buffer, count, to_nccl(dtype), ncclSum, comm_.get(), stream_.get());
    });
  }
  Ticket broadcast(void* buffer, std::size_t count, core::DType dtype, int root, core::Stream producer) override {
    return issue(producer, "ncclBroadcast", [&] {
      return ncclBroadcast(buffer, buffer, count, to_nccl(dtype), root, comm_.get(), stream_.get());
    });
  }

 private:
  template <class Call>
  Ticket issue(core::Stream producer, const char* what, Call call) {
    Event event = events_.take();
    order(to_cuda(producer), stream_.get(), event);
    check(call(), what);
    check_cuda(cudaEventRecord(event.get(), stream_.get()), "cudaEventRecord");
    const std::int64_t number = num_begun_ + 1;
    check_cuda(cudaEventRecord(end_of(number).get(), stream_.get()), "cudaEventRecord");
    num_begun_ = number;
    return Ticket(std::make_unique<EventPending>(events_, std::move(event)));
  }

  // Of one of the last collectives, counted from 1. Its event is recorded anew while another thread may ask it: then
  // that thread hears of a later collective.
  [[nodiscard]] const Event& end_of(std::int64_t number) const {
    return ends_[static_cast<std::size_t>(number) % ends_.size()];
  }

  int rank_;
  int size_;
  int device_ = 0;
  std::atomic<bool> aborted_{false};
  std::atomic<std::int64_t> num_begun_{0};
  std::array<Event, 64> ends_;
  EventPool events_;
  OwnedStream stream_;
  core::Handle<ncclComm_t, destroy_comm> comm_;
};

}  // namespace

std::string nccl_version() {
  int version = 0;
  check(ncclGetVersion(&version), "ncclGetVersion");
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

std::string compiled_nccl_version() { return fmt::format("{}.{}.{}", NCCL_MAJOR, NCCL_MINOR, NCCL_PATCH); }

std::unique_ptr<Collectives> make_nccl(const topology::Group& group) {
  ncclUniqueId id{};
  group.agree([&] {
    if (group.rank() == 0) {
      check(ncclGetUniqueId(&id), "ncclGetUniqueId");
    }
  });
  group.broadcast(std::as_writable_bytes(std::span(&id, 1)), 0);
  return std::make_unique<NcclCollectives>(group.rank(), group.size(), id);
}

}  // namespace tessera::comm
