#include "comm/backends.hpp"
#include "comm/rank_order_sum.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/handle.hpp"

#include <mpi.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace tessera::comm {
namespace {

void check(int status, const char* what) {
  if (status != MPI_SUCCESS) {
    std::array<char, MPI_MAX_ERROR_STRING> text{};
    int length = 0;
    MPI_Error_string(status, text.data(), &length);
    core::fail("comm", "{} failed: {}", what, std::string(text.data(), static_cast<std::size_t>(length)));
  }
}

void free_comm(MPI_Comm comm) noexcept { MPI_Comm_free(&comm); }
void free_type(MPI_Datatype type) noexcept { MPI_Type_free(&type); }
using Type = core::Handle<MPI_Datatype, free_type>;

// `bytes` as one element: MPI counts are ints, and a bucket may have more bytes than an int can say.
Type block_type(std::size_t bytes) {
  constexpr std::size_t kGrain = 1U << 20U;
  MPI_Datatype grain = MPI_BYTE;
  check(MPI_Type_contiguous(static_cast<int>(kGrain), MPI_BYTE, &grain), "MPI_Type_contiguous");
  const Type owner(grain);
  const std::array<int, 2> lengths{static_cast<int>(bytes / kGrain), static_cast<int>(bytes % kGrain)};
  const std::array<MPI_Aint, 2> starts{0, static_cast<MPI_Aint>(bytes / kGrain * kGrain)};
  const std::array<MPI_Datatype, 2> types{grain, MPI_BYTE};
  MPI_Datatype whole = MPI_BYTE;
  check(MPI_Type_create_struct(2, lengths.data(), starts.data(), types.data(), &whole), "MPI_Type_create_struct");
  Type result(whole);
  check(MPI_Type_commit(&whole), "MPI_Type_commit");
  return result;
}

struct Range {
  std::size_t begin = 0;
  std::size_t count = 0;
};

// An even share of `count` elements; the first ranks get one more.
Range share(std::size_t count, std::size_t rank, std::size_t size) {
  const std::size_t base = count / size;
  const std::size_t longer = count % size;
  return {rank * base + std::min(rank, longer), base + (rank < longer ? 1 : 0)};
}

const std::byte* at(const void* base, std::size_t bytes) { return static_cast<const std::byte*>(base) + bytes; }
std::byte* at(void* base, std::size_t bytes) { return static_cast<std::byte*>(base) + bytes; }

struct Requests {
  std::vector<MPI_Request> all;
  void wait() {
    check(MPI_Waitall(static_cast<int>(all.size()), all.data(), MPI_STATUSES_IGNORE), "MPI_Waitall");
    all.clear();
  }
};

class PlainPending final : public Ticket::Pending {
 public:
  explicit PlainPending(Requests requests) : requests_(std::move(requests)) {}
  void wait(core::Stream /*consumer*/) override { requests_.wait(); }

 private:
  Requests requests_;
};

// Every rank's part of my range, which wait() adds up in rank order.
struct Contributions {
  Requests requests;
  std::vector<std::vector<std::byte>> received;  // by rank; empty at my own
  std::vector<const void*> parts;                // by rank
  std::size_t count = 0;
  core::DType dtype = core::DType::kFloat32;

  void sum_into(void* result) {
    requests.wait();
    rank_order_sum(parts, count, dtype, result);
  }
};

class ReducePending final : public Ticket::Pending {
 public:
  ReducePending(Contributions contributions, void* result)
      : contributions_(std::move(contributions)), result_(result) {}
  void wait(core::Stream /*consumer*/) override { contributions_.sum_into(result_); }

 private:
  Contributions contributions_;
  void* result_;
};

class MpiHostCollectives final : public Collectives {
 public:
  explicit MpiHostCollectives(MPI_Comm comm) : comm_(comm) {
    check(MPI_Comm_rank(comm, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(comm, &size_), "MPI_Comm_size");
  }

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }
  [[nodiscard]] std::string name() const override { return "mpi"; }

  Ticket reduce_scatter(const void* send, void* receive, std::size_t count, core::DType dtype,
                        core::Stream /*producer*/) override {
    std::vector<Range> ranges;
    for (int r = 0; r < size_; ++r) {
      ranges.push_back({static_cast<std::size_t>(r) * count, count});
    }
    return Ticket(std::make_unique<ReducePending>(exchange(send, ranges, dtype), receive));
  }

  Ticket all_gather(const void* send, void* receive, std::size_t count, core::DType dtype,
                    core::Stream /*producer*/) override {
    const std::size_t bytes = count * core::size_of(dtype);
    const bool in_place = send == at(receive, static_cast<std::size_t>(rank_) * bytes);
    const Type block = block_type(bytes);
    Requests requests;
    requests.all.emplace_back();
    check(MPI_Iallgather(in_place ? MPI_IN_PLACE : send, 1, block.get(), receive, 1, block.get(), comm_.get(),
                         &requests.all.back()),
          "MPI_Iallgather");
    return Ticket(std::make_unique<PlainPending>(std::move(requests)));
  }

  Ticket all_reduce(void* buffer, std::size_t count, core::DType dtype, core::Stream /*producer*/) override {
    return Ticket(std::make_unique<AllReducePending>(*this, buffer, count, dtype));
  }

  Ticket broadcast(void* buffer, std::size_t count, core::DType dtype, int root, core::Stream /*producer*/) override {
    const Type block = block_type(count * core::size_of(dtype));
    Requests requests;
    requests.all.emplace_back();
    check(MPI_Ibcast(buffer, 1, block.get(), root, comm_.get(), &requests.all.back()), "MPI_Ibcast");
    return Ticket(std::make_unique<PlainPending>(std::move(requests)));
  }

 private:
  // A reduce-scatter of uneven shares at once, then a gather of them when it is waited for.
  class AllReducePending final : public Ticket::Pending {
   public:
    AllReducePending(MpiHostCollectives& owner, void* buffer, std::size_t count, core::DType dtype)
        : owner_(owner), buffer_(buffer), size_of_element_(core::size_of(dtype)) {
      for (int r = 0; r < owner.size_; ++r) {
        ranges_.push_back(share(count, static_cast<std::size_t>(r), static_cast<std::size_t>(owner.size_)));
      }
      contributions_ = owner.exchange(buffer, ranges_, dtype);
    }

    void wait(core::Stream /*consumer*/) override {
      const Range mine = ranges_[static_cast<std::size_t>(owner_.rank_)];
      contributions_.sum_into(at(buffer_, mine.begin * size_of_element_));
      for (int root = 0; root < owner_.size_; ++root) {
        const Range range = ranges_[static_cast<std::size_t>(root)];
        const Type block = block_type(range.count * size_of_element_);
        check(MPI_Bcast(at(buffer_, range.begin * size_of_element_), 1, block.get(), root, owner_.comm_.get()),
              "MPI_Bcast");
      }
    }

   private:
    MpiHostCollectives& owner_;
    void* buffer_;
    std::size_t size_of_element_;
    std::vector<Range> ranges_;
    Contributions contributions_;
  };

  // Sends range r of `send` to rank r, and receives everybody's part of mine.
  Contributions exchange(const void* send, const std::vector<Range>& ranges, core::DType dtype) {
    const std::size_t element = core::size_of(dtype);
    Contributions result;
    result.count = ranges[static_cast<std::size_t>(rank_)].count;
    result.dtype = dtype;
    result.received.resize(static_cast<std::size_t>(size_));
    result.parts.resize(static_cast<std::size_t>(size_));
    const int tag = next_tag();
    const Type mine = block_type(result.count * element);
    for (int peer = 0; peer < size_; ++peer) {
      const auto index = static_cast<std::size_t>(peer);
      if (peer == rank_) {
        result.parts[index] = at(send, ranges[index].begin * element);
        continue;
      }
      result.received[index].resize(result.count * element);
      result.parts[index] = result.received[index].data();
      result.requests.all.emplace_back();
      check(
          MPI_Irecv(result.received[index].data(), 1, mine.get(), peer, tag, comm_.get(), &result.requests.all.back()),
          "MPI_Irecv");
    }
    for (int step = 1; step < size_; ++step) {
      const int peer = (rank_ + step) % size_;  // each rank starts with another, so that no one is flooded
      const Range range = ranges[static_cast<std::size_t>(peer)];
      const Type theirs = block_type(range.count * element);
      result.requests.all.emplace_back();
      check(MPI_Isend(at(send, range.begin * element), 1, theirs.get(), peer, tag, comm_.get(),
                      &result.requests.all.back()),
            "MPI_Isend");
    }
    return result;
  }

  int next_tag() {
    tag_ = (tag_ + 1) % 32768;  // the least upper bound that MPI promises
    return tag_;
  }

  core::Handle<MPI_Comm, free_comm> comm_;
  int rank_ = 0;
  int size_ = 1;
  int tag_ = 0;
};

}  // namespace

std::unique_ptr<Collectives> make_mpi_host(const topology::Group& group) {
  const void* raw = group.mpi_communicator();
  core::require(raw != nullptr, "comm", "MPI collectives were asked for without an MPI session");
  MPI_Comm comm = MPI_COMM_NULL;
  check(MPI_Comm_dup(*static_cast<const MPI_Comm*>(raw), &comm), "MPI_Comm_dup");
  return std::make_unique<MpiHostCollectives>(comm);
}

}  // namespace tessera::comm
