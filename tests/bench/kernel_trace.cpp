// Where the GPU's time goes, kernel by kernel, in any program (ours or a peer), through CUPTI's injection:
//   CUDA_INJECTION64_PATH=build/bin/libkernel_trace.so KERNEL_TRACE_STEPS=10 KERNEL_TRACE_STEP_MS=165 PROGRAM ...
// At the program's end a table on stderr of what ran in its last STEPS x STEP_MS milliseconds of GPU time, per step:
// milliseconds, calls, mean microseconds, name. "idle" is where nothing ran, "NCCL alone" and "copies alone" where
// nothing but these did: what they cost, where the rest of their time is hidden behind other kernels. Tracing makes
// steps of many small kernels slower: take STEP_MS from a run without it, and read the kernels' times, not the sum.
#include <cupti.h>
#include <cxxabi.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace {

struct Interval {
  std::uint64_t begin;
  std::uint64_t end;
  std::string name;
};

struct Trace {
  std::mutex mutex;
  std::vector<Interval> intervals;
};

// Never destroyed: CUPTI's thread may still deliver while the program ends.
Trace& trace() {
  static auto* const kept = new Trace;
  return *kept;
}

std::string demangled(const char* name) {
  int status = 0;
  char* const text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string result = status == 0 ? text : name;
  std::free(text);  // NOLINT: the C++ ABI says so
  return result;
}

void CUPTIAPI give_buffer(std::uint8_t** buffer, std::size_t* size, std::size_t* max_records) {
  constexpr std::size_t kBytes = std::size_t{8} << 20U;
  *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(8, kBytes));
  *size = kBytes;
  *max_records = 0;
}

void take(const CUpti_Activity* record) {
  auto& all = trace().intervals;
  if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
    const auto* const kernel = reinterpret_cast<const CUpti_ActivityKernel10*>(record);
    all.push_back({kernel->start, kernel->end, kernel->name});
  } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
    const auto* const copy = reinterpret_cast<const CUpti_ActivityMemcpy6*>(record);
    all.push_back({copy->start, copy->end, "memcpy kind " + std::to_string(copy->copyKind)});
  } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMSET) {
    const auto* const set = reinterpret_cast<const CUpti_ActivityMemset4*>(record);
    all.push_back({set->start, set->end, "memset"});
  }
}

void CUPTIAPI take_buffer(CUcontext /*context*/, std::uint32_t /*stream*/, std::uint8_t* buffer, std::size_t /*size*/,
                          std::size_t valid) {
  const std::scoped_lock lock(trace().mutex);
  CUpti_Activity* record = nullptr;
  while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
    take(record);
  }
  std::free(buffer);  // NOLINT: as CUPTI's buffers are made
}

double setting(const char* name, double otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtod(text, nullptr);
}

struct Sum {
  double milliseconds = 0;
  std::int64_t calls = 0;
};

enum class Kind : std::uint8_t { kCompute, kNccl, kCopy };

Kind kind_of(const std::string& name) {
  if (name.find("ncclDevKernel") != std::string::npos) {
    return Kind::kNccl;
  }
  return name.starts_with("memcpy kind") ? Kind::kCopy : Kind::kCompute;
}

// What a moment counts as while so many of each kind run; null: as kernels, which have rows of their own.
const char* moment_of(const std::array<int, 3>& running) {
  if (running[0] > 0) {
    return nullptr;
  }
  if (running[1] > 0) {
    return "NCCL alone";
  }
  return running[2] > 0 ? "copies alone" : "idle";
}

// The time in which no kernel computes, between the first interval's begin and the last one's end.
void add_moments(const std::vector<Interval>& intervals, std::map<std::string, Sum>& sums) {
  struct Edge {
    std::uint64_t time;
    int change;  // of how many run
    std::size_t kind;
  };
  std::vector<Edge> edges;
  for (const Interval& interval : intervals) {
    const auto kind = static_cast<std::size_t>(kind_of(interval.name));
    edges.push_back({interval.begin, 1, kind});
    edges.push_back({interval.end, -1, kind});
  }
  std::ranges::sort(edges, {}, [](const Edge& edge) { return std::pair(edge.time, -edge.change); });
  std::array<int, 3> running{};
  for (std::size_t i = 0; i + 1 < edges.size(); ++i) {
    running[edges[i].kind] += edges[i].change;
    const std::uint64_t length = edges[i + 1].time - edges[i].time;
    if (const char* const moment = moment_of(running); moment != nullptr && length > 0) {
      sums[moment].milliseconds += static_cast<double>(length) / 1e6;
      ++sums[moment].calls;
    }
  }
}

// By kernel, of what begins at `from` or later.
std::map<std::string, Sum> sums_since(const std::vector<Interval>& all, std::uint64_t from) {
  std::map<std::string, Sum> sums;
  std::vector<Interval> recent;
  std::ranges::copy_if(all, std::back_inserter(recent), [from](const Interval& one) { return one.begin >= from; });
  for (const Interval& interval : recent) {
    Sum& sum = sums[interval.name];
    sum.milliseconds += static_cast<double>(interval.end - interval.begin) / 1e6;
    ++sum.calls;
  }
  add_moments(recent, sums);
  return sums;
}

void print() {
  cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  const std::scoped_lock lock(trace().mutex);
  auto& all = trace().intervals;
  if (all.empty()) {
    return;
  }
  std::ranges::sort(all, {}, &Interval::begin);
  const double steps = setting("KERNEL_TRACE_STEPS", 1);
  const auto window = static_cast<std::uint64_t>(steps * setting("KERNEL_TRACE_STEP_MS", 1e6) * 1e6);
  const std::uint64_t last = all.back().end;
  const auto sums = sums_since(all, last - std::min(window, last - all.front().begin));
  std::vector<std::pair<std::string, Sum>> rows(sums.begin(), sums.end());
  std::ranges::sort(rows, [](const auto& a, const auto& b) { return a.second.milliseconds > b.second.milliseconds; });
  std::fprintf(stderr, "%10s %8s %10s  kernel (a step)\n", "ms", "calls", "us each");
  for (const auto& [name, sum] : rows) {
    const auto calls = static_cast<double>(sum.calls);
    std::fprintf(stderr, "%10.3f %8.1f %10.1f  %.200s\n", sum.milliseconds / steps, calls / steps,
                 1e3 * sum.milliseconds / calls, demangled(name.c_str()).c_str());
  }
}

}  // namespace

/// What the CUDA driver calls when it has loaded this library. Returns 1: go on.
extern "C" int InitializeInjection() {
  static bool is_begun = false;  // the driver may call once per way of starting it
  if (std::exchange(is_begun, true)) {
    return 1;
  }
  cuptiActivityRegisterCallbacks(give_buffer, take_buffer);
  for (const CUpti_ActivityKind kind :
       {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET}) {
    if (cuptiActivityEnable(kind) != CUPTI_SUCCESS) {
      std::fprintf(stderr, "kernel_trace: CUPTI refuses activity kind %d\n", static_cast<int>(kind));
    }
  }
  std::atexit(print);
  return 1;
}
