#include "comm/backends.hpp"
#include "comm/cuda_handles.hpp"
#include "tessera/core/error.hpp"

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

namespace tessera::comm {
namespace {

void free_pinned(void* memory) noexcept { cudaFreeHost(memory); }

// Pinned host memory that grows to the largest bucket and is kept: pinning is slow.
class Pinned {
 public:
  explicit Pinned(std::size_t bytes) : bytes_(bytes) {
    void* memory = nullptr;
    check_cuda(cudaMallocHost(&memory, bytes), "cudaMallocHost");
    memory_ = core::Handle<void*, free_pinned>(memory);
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] void* get() const { return memory_.get(); }

 private:
  std::size_t bytes_;
  core::Handle<void*, free_pinned> memory_;
};

class PinnedPool {
 public:
  Pinned take(std::size_t bytes) {
    for (auto& candidate : free_) {
      if (candidate.bytes() >= bytes) {
        std::swap(candidate, free_.back());
        Pinned taken = std::move(free_.back());
        free_.pop_back();
        return taken;
      }
    }
    return Pinned(bytes);
  }
  void give_back(Pinned pinned) { free_.push_back(std::move(pinned)); }

 private:
  std::vector<Pinned> free_;
};

// What is copied down when the collective is issued, run on the host when it is waited for, and copied up then.
struct Staging {
  Pinned host;
  Event copied_down;
  std::function<void(void* host)> run;
  void* result_on_device = nullptr;
  std::size_t result_offset = 0;  // into host
  std::size_t result_bytes = 0;
};

class StagedPending final : public Ticket::Pending {
 public:
  StagedPending(PinnedPool& pool, Staging staging) : pool_(pool), staging_(std::move(staging)) {}

  void wait(core::Stream consumer) override {
    check_cuda(cudaEventSynchronize(staging_.copied_down.get()), "cudaEventSynchronize");
    staging_.run(staging_.host.get());
    const std::byte* result = static_cast<const std::byte*>(staging_.host.get()) + staging_.result_offset;
    check_cuda(cudaMemcpyAsync(staging_.result_on_device, result, staging_.result_bytes, cudaMemcpyHostToDevice,
                               to_cuda(consumer)),
               "cudaMemcpyAsync");
    check_cuda(cudaStreamSynchronize(to_cuda(consumer)), "cudaStreamSynchronize");
    pool_.give_back(std::move(staging_.host));
  }

 private:
  PinnedPool& pool_;
  Staging staging_;
};

class MpiStagedCollectives final : public Collectives {
 public:
  explicit MpiStagedCollectives(std::unique_ptr<Collectives> host) : host_(std::move(host)), stream_(make_stream()) {
    check_cuda(cudaGetDevice(&device_), "cudaGetDevice");
  }

  [[nodiscard]] int rank() const override { return host_->rank(); }
  [[nodiscard]] int size() const override { return host_->size(); }
  [[nodiscard]] std::string name() const override { return "mpi staged through host memory"; }
  [[nodiscard]] std::string device_error() override { return cuda_error_of(device_); }

  Ticket reduce_scatter(const void* send, void* receive, std::size_t count, core::DType dtype,
                        core::Stream producer) override {
    const std::size_t part = count * core::size_of(dtype);
    return stage(producer, {send, part * ranks(), 0}, {receive, part, part * my_rank()},
                 [this, count, dtype, part](void* host) {
                   void* mine = static_cast<std::byte*>(host) + part * my_rank();
                   host_->reduce_scatter(host, mine, count, dtype, {}).wait({});
                 });
  }
  Ticket all_gather(const void* send, void* receive, std::size_t count, core::DType dtype,
                    core::Stream producer) override {
    const std::size_t part = count * core::size_of(dtype);
    return stage(producer, {send, part, part * my_rank()}, {receive, part * ranks(), 0},
                 [this, count, dtype, part](void* host) {
                   const void* mine = static_cast<std::byte*>(host) + part * my_rank();
                   host_->all_gather(mine, host, count, dtype, {}).wait({});
                 });
  }
  Ticket all_reduce(void* buffer, std::size_t count, core::DType dtype, core::Stream producer) override {
    const std::size_t bytes = count * core::size_of(dtype);
    return stage(producer, {buffer, bytes, 0}, {buffer, bytes, 0},
                 [this, count, dtype](void* host) { host_->all_reduce(host, count, dtype, {}).wait({}); });
  }
  Ticket broadcast(void* buffer, std::size_t count, core::DType dtype, int root, core::Stream producer) override {
    const std::size_t bytes = count * core::size_of(dtype);
    return stage(producer, {buffer, bytes, 0}, {buffer, bytes, 0},
                 [this, count, dtype, root](void* host) { host_->broadcast(host, count, dtype, root, {}).wait({}); });
  }

 private:
  struct Source {
    const void* device;
    std::size_t bytes;
    std::size_t offset;  // where it goes in host memory
  };
  struct Result {
    void* device;
    std::size_t bytes;
    std::size_t offset;  // where it comes from in host memory
  };

  Ticket stage(core::Stream producer, const Source& source, const Result& result, std::function<void(void*)> run) {
    const std::size_t bytes = std::max(source.offset + source.bytes, result.offset + result.bytes);
    Staging staging{pool_.take(bytes), make_event(), std::move(run), result.device, result.offset, result.bytes};
    order(to_cuda(producer), stream_.get(), staging.copied_down);
    std::byte* host = static_cast<std::byte*>(staging.host.get()) + source.offset;
    check_cuda(cudaMemcpyAsync(host, source.device, source.bytes, cudaMemcpyDeviceToHost, stream_.get()),
               "cudaMemcpyAsync");
    check_cuda(cudaEventRecord(staging.copied_down.get(), stream_.get()), "cudaEventRecord");
    return Ticket(std::make_unique<StagedPending>(pool_, std::move(staging)));
  }

  [[nodiscard]] std::size_t ranks() const { return static_cast<std::size_t>(size()); }
  [[nodiscard]] std::size_t my_rank() const { return static_cast<std::size_t>(rank()); }

  std::unique_ptr<Collectives> host_;
  int device_ = 0;
  PinnedPool pool_;
  OwnedStream stream_;
};

}  // namespace

std::unique_ptr<Collectives> make_mpi_staged(const topology::Group& group) {
  return std::make_unique<MpiStagedCollectives>(make_mpi_host(group));
}

}  // namespace tessera::comm
