// Write and read rates of checkpoints beside those of plain files with the same bytes, in the same run.
//   mpirun -np 2 checkpoint_bench DIRECTORY [BYTES_PER_RANK=1GiB] [ROUNDS=5]
// Every rank holds an equal part of 48 tensors of equal size, as ZeRO's shards do. Plain writing is each rank's pwrite
// of its part to one shared file, and fsync: what the disk gives. Once as it is, and once with the file's space
// reserved before, as a save does it, which some file systems reward. The order turns round every round, and every one
// meets the disk idle. Medians over the rounds; the first round is a warm-up.
#include "tessera/checkpoint/async_saver.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/checkpoint/restore.hpp"
#include "tessera/checkpoint/save.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/units.hpp"
#include "tessera/io/file_system.hpp"
#include "tessera/topology/session.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

namespace {

using namespace tessera;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t kColumns = 4096;
constexpr int kTensors = 48;

struct Bench {
  const topology::Group& world;
  std::string directory;
  std::vector<float> values;  // this rank's, of all tensors
  state::StateDescription state;

  [[nodiscard]] double total_bytes() const { return static_cast<double>(values.size() * sizeof(float)) * world.size(); }

  void describe(std::int64_t bytes_per_rank) {
    const std::int64_t rows_per_rank = std::max<std::int64_t>(bytes_per_rank / (kTensors * kColumns * 4), 1);
    const std::int64_t rows = rows_per_rank * world.size();
    const std::int64_t mine = rows_per_rank * kColumns;
    values.resize(static_cast<std::size_t>(mine * kTensors));
    std::iota(values.begin(), values.end(), static_cast<float>(world.rank()));
    for (int i = 0; i < kTensors; ++i) {
      const state::TensorInfo tensor{
          fmt::format("layers.{}.weight", i), state::Component::kMaster, core::DType::kFloat32, {rows, kColumns}};
      state.tensors.push_back(tensor);
      state.mine.push_back({tensor.parameter, tensor.component, tensor.dtype, tensor.shape, world.rank() * mine,
                            (world.rank() + 1) * mine, values.data() + i * mine});
    }
  }

  void write_plain(bool reserves) const {
    const std::string path = directory + "/plain";
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    const auto* next = reinterpret_cast<const char*>(values.data());
    const std::size_t size = values.size() * sizeof(float);
    if (reserves) {
      if (world.rank() == 0) {
        io::FileSystem().reserve(path, static_cast<std::int64_t>(total_bytes()));
      }
      world.barrier();
    }
    const auto begin = static_cast<off_t>(size) * world.rank();
    for (std::size_t done = 0; done < size;) {
      const auto written =
          ::pwrite(file, next + done, std::min<std::size_t>(size - done, 16U << 20U), begin + static_cast<off_t>(done));
      core::require(written > 0, "bench", "cannot write {}", path);
      done += static_cast<std::size_t>(written);
    }
    core::require(::fsync(file) == 0, "bench", "cannot sync {}", path);
    ::close(file);
  }

  void save(const state::StateDescription& from, const topology::Group& group) const {
    checkpoint::SaveRequest request;
    request.run_dir = directory;
    request.name = "bench";
    request.state = from;
    request.group = group;
    checkpoint::save(request);
  }

  // Returns the seconds in which the state may not change: the copy, with nothing to hide it.
  double save_beside(checkpoint::AsyncSaver& saver) const {
    const auto start = Clock::now();
    saver.start(state,
                [this](const state::StateDescription& copy, const topology::Group& group) { save(copy, group); });
    saver.wait_for_snapshot();
    const double blocked = std::chrono::duration<double>(Clock::now() - start).count();
    saver.wait();
    return blocked;
  }

  void remove() const {
    world.barrier();
    if (world.rank() == 0) {
      const io::FileSystem files;
      files.remove_all(directory + "/plain");
      files.remove_all(directory + "/checkpoint-bench");
      ::sync();
    }
    world.barrier();
  }

  template <class Work>
  double seconds(Work work) const {
    world.barrier();
    const auto start = Clock::now();
    work();
    std::array<double, 1> slowest{std::chrono::duration<double>(Clock::now() - start).count()};
    world.max(slowest);
    return slowest[0];
  }
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void report(const char* what, double bytes, const std::vector<double>& seconds, double reference) {
  const double rate = bytes / median(seconds) / 1e9;
  std::printf("%-28s %6.2f GB/s   (%.2f s, %.2f to %.2f)   %5.1f%% of the faster plain\n", what, rate, median(seconds),
              *std::min_element(seconds.begin(), seconds.end()), *std::max_element(seconds.begin(), seconds.end()),
              100 * rate / reference);
}

struct Seconds {
  std::vector<double> plain;
  std::vector<double> reserved;
  std::vector<double> saved;
  std::vector<double> beside;
  std::vector<double> blocked;
  std::vector<double> restored;
};

void one_round(const Bench& bench, checkpoint::AsyncSaver& saver, int round, Seconds& seconds) {
  const auto keep = [round](std::vector<double>& into, double taken) {
    if (round > 0) {
      into.push_back(taken);
    }
  };
  const auto take = [&](std::vector<double>& into, const std::function<void()>& work) {
    bench.remove();
    keep(into, bench.seconds(work));
  };
  const std::vector<std::function<void()>> works{
      [&] { take(seconds.plain, [&] { bench.write_plain(/*reserves=*/false); }); },
      [&] { take(seconds.reserved, [&] { bench.write_plain(/*reserves=*/true); }); },
      [&] { take(seconds.beside, [&] { keep(seconds.blocked, bench.save_beside(saver)); }); },
      [&] {
        take(seconds.saved, [&] { bench.save(bench.state, bench.world); });
        keep(seconds.restored, bench.seconds([&] {
          checkpoint::restore(bench.directory + "/checkpoint-bench", bench.state, bench.world, {});
        }));
      }};
  for (std::size_t i = 0; i < works.size(); ++i) {
    works[round % 2 == 0 ? i : works.size() - 1 - i]();
  }
}

void run(const topology::Group& world, const std::string& directory, std::int64_t bytes_per_rank, int rounds) {
  Bench bench{world, directory, {}, {}};
  bench.describe(bytes_per_rank);
  checkpoint::AsyncSaver saver(world, bench.state, {});
  Seconds seconds;
  for (int round = 0; round <= rounds; ++round) {
    one_round(bench, saver, round, seconds);
  }
  bench.remove();
  if (world.rank() == 0) {
    const double bytes = bench.total_bytes();
    const double reference = bytes / std::min(median(seconds.plain), median(seconds.reserved)) / 1e9;
    std::printf("%d ranks, %s in all\n", world.size(), core::format_bytes(bytes).c_str());
    report("plain parallel write", bytes, seconds.plain, reference);
    report("the same, space reserved", bytes, seconds.reserved, reference);
    report("save", bytes, seconds.saved, reference);
    report("save beside, with its copy", bytes, seconds.beside, reference);
    report("  of which the state blocked", bytes, seconds.blocked, reference);
    report("restore (page cache)", bytes, seconds.restored, reference);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: checkpoint_bench DIRECTORY [BYTES_PER_RANK] [ROUNDS]\n");
    return 2;
  }
  const topology::Session session;
  run(session.world(), argv[1], core::parse_bytes(argc > 2 ? argv[2] : "1GiB"), argc > 3 ? std::stoi(argv[3]) : 5);
  return 0;
}
