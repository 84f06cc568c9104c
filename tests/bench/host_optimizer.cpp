#include "bench/host_optimizer.hpp"

#include "tessera/core/scale_blocks.hpp"
#include "tessera/core/vector_clones.hpp"
#include "tessera/kernels/ops.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <string>

namespace tessera::kernels {
namespace {

using Call = std::function<void()>;

// Of one call: the median.
double seconds(const Call& call) {
  constexpr std::size_t kRepeats = 9;
  call();  // warms up
  std::array<double, kRepeats> times{};
  for (double& time : times) {
    const auto start = std::chrono::steady_clock::now();
    call();
    time = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  std::ranges::sort(times);
  return times[kRepeats / 2];
}

TESSERA_VECTOR_CLONES void scale(float* a, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) {
    a[i] *= 0.999F;
  }
}

TESSERA_VECTOR_CLONES void add_scaled(float* __restrict a, const float* __restrict b, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) {
    a[i] += 0.001F * b[i];
  }
}

std::string instruction_set() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f") ? "AVX-512" : __builtin_cpu_supports("avx2") ? "AVX2" : "SSE2";
#else
  return "this machine's";
#endif
}

class HostBench {
 public:
  explicit HostBench(std::int64_t num_elements) : size_(num_elements) {
    fmt::print("host optimizer: {} elements, {} thread{}, {}\n\n{:<32}{:>10}{:>10}{:>9}{:>10}\n", num_elements,
               at::get_num_threads(), at::get_num_threads() == 1 ? "" : "s", instruction_set(), "op", "MB", "ms",
               "GB/s", "of stream");
  }

  // In place, so that no write reads a line first that nobody counts: the optimizer's updates are so too. Of as many
  // bytes as these, or caches would hold a part.
  void stream() {
    const std::int64_t length = 4 * size_;
    const at::Tensor a = at::ones({length});
    const at::Tensor b = at::ones({length});
    const auto on_all = [length](const auto& work) { at::parallel_for(0, length, 1 << 15, work); };
    run("stream: a *= s", 4 * 8, [&] {
      on_all([&](std::int64_t begin, std::int64_t end) { scale(a.mutable_data_ptr<float>() + begin, end - begin); });
    });
    run("stream: a += s b", 4 * 12, [&] {
      on_all([&](std::int64_t begin, std::int64_t end) {
        add_scaled(a.mutable_data_ptr<float>() + begin, b.const_data_ptr<float>() + begin, end - begin);
      });
    });
    stream_rate_ = best_rate_;
  }

  // Of bf16 weights, whose lower halves are apart, as on a GPU; gradients of one micro-step, or of several.
  void optimizers() {
    const Ops& ops = ops_for(c10::kCPU);
    const Parameter parameter{random(at::kBFloat16), zeros(at::kShort)};
    const at::Tensor exp_avg = random(at::kFloat);
    const at::Tensor exp_avg_sq = random(at::kFloat).square_();
    const Moment first = zero_codes();
    const Moment second = zero_codes();
    at::Tensor total = at::zeros({}, at::kDouble);
    for (const at::ScalarType type : {at::kBFloat16, at::kFloat}) {
      const at::Tensor gradient = random(type);
      const auto width = static_cast<double>(gradient.element_size());
      const std::string of = type == at::kFloat ? ", fp32 gradient" : ", bf16 gradient";
      const AdamWParams adamw{.lr = 1e-4, .weight_decay = 0.05, .step = 10};
      run("adamw_step" + of, width + 24, [&] { ops.adamw_step({parameter, gradient, exp_avg, exp_avg_sq}, adamw); });
      const MomentumParams momentum{.lr = 1e-4, .weight_decay = 0.05, .trust_ratio = 0.5};
      run("momentum_step" + of, width + 16, [&] { ops.momentum_step({parameter, gradient, exp_avg}, momentum); });
      run("adamw_step, 8bit" + of, width + 8 + 4 * 1.0625, [&] {
        ops.adamw_step({parameter, gradient, first, second}, adamw);
      });
      run("add_sum_of_squares" + of, width, [&] { ops.add_sum_of_squares(gradient, total); });
    }
    const at::Tensor landed = random(at::kBFloat16);
    at::Tensor sum = random(at::kFloat);
    run("accumulate bf16 into fp32", 10, [&] { ops.accumulate(sum, landed); });
  }

 private:
  [[nodiscard]] at::Tensor zeros(at::ScalarType type) const {
    return at::zeros({size_}, at::TensorOptions().dtype(type));
  }
  [[nodiscard]] Moment zero_codes() const { return {zeros(at::kByte), at::zeros({core::num_scale_blocks(size_)})}; }
  [[nodiscard]] at::Tensor random(at::ScalarType type) const { return zeros(type).normal_(); }

  void run(const std::string& name, double element_bytes, const Call& call) {
    const double bytes = element_bytes * static_cast<double>(size_);
    const double time = seconds(call);
    best_rate_ = std::max(best_rate_, bytes / time);
    const std::string share = stream_rate_ > 0 ? fmt::format("{:.0f}%", 100 * bytes / time / stream_rate_) : "";
    fmt::print("{:<32}{:>10.1f}{:>10.2f}{:>9.1f}{:>10}\n", name, bytes / 1e6, time * 1e3, bytes / time / 1e9, share);
  }

  std::int64_t size_;
  double best_rate_ = 0;
  double stream_rate_ = 0;
};

}  // namespace

void bench_host_optimizer(std::int64_t num_elements) {
  HostBench bench(num_elements);
  bench.stream();
  bench.optimizers();
}

}  // namespace tessera::kernels
