// Times every op at training shapes: bytes that it must move, GB/s, and how much that is of a copy in the same run.
//   kernel_bench [cpu|cuda] [tiny|0.6b|1.7b|4b|8b|14b|32b] [batch] [tokens]
//   kernel_bench host [elements]    the optimizer of runs on the CPU, on OMP_NUM_THREADS threads
// Weights and activations are bf16 on CUDA and fp32 on the CPU. Inputs rotate among sets that a cache cannot hold.

#include "bench/host_optimizer.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/scale_blocks.hpp"
#include "tessera/kernels/ops.hpp"

#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

// Shapes: B images, T tokens, N = B*T rows, D hidden, F intermediate, H query and K key heads of E elements,
// C = (H + 2K) E; G elements of a shard.

namespace tessera::kernels {
namespace {

struct Shape {
  std::int64_t hidden, intermediate, query_heads, key_heads, head_dim, shard;
};

const std::map<std::string, Shape, std::less<>> kPresets = {
    {"tiny", {128, 384, 4, 2, 32, 1 << 20}},         {"0.6b", {1024, 3072, 16, 8, 128, 50'000'000}},
    {"1.7b", {2048, 6144, 16, 8, 128, 50'000'000}},  {"4b", {2560, 9728, 32, 8, 128, 50'000'000}},
    {"8b", {4096, 12288, 32, 8, 128, 100'000'000}},  {"14b", {5120, 17408, 40, 8, 128, 100'000'000}},
    {"32b", {5120, 25600, 64, 8, 128, 100'000'000}},
};

/// One call on input set `set`.
using Call = std::function<void(std::size_t set)>;

struct Case {
  std::string name;
  double bytes = 0;  ///< each input read once, each output written once
  double flops = 0;  ///< of matrix products; 0: none
  Call call;
};

class Bench {
 public:
  explicit Bench(at::Device device) : device_(device) {
    const std::int64_t num_elements = device.is_cuda() ? std::int64_t{1} << 29 : std::int64_t{1} << 25;
    source_ = at::empty({num_elements}, at::TensorOptions().dtype(at::kBFloat16).device(device)).normal_();
    target_ = at::empty_like(source_);
    const double bytes = 4.0 * static_cast<double>(num_elements);
    copy_rate_ = bytes / seconds([&](std::size_t) { target_.copy_(source_); }, 1);
    fmt::print("copy of {:.0f} MB: {:.0f} GB/s\n\n{:<24}{:>10}{:>10}{:>9}{:>9}{:>10}\n", bytes / 2e6, copy_rate_ / 1e9,
               "op", "MB", "us", "GB/s", "of copy", "TFLOP/s");
  }

  void run(const Case& item, std::size_t num_sets) {
    const double time = seconds(item.call, num_sets);
    const std::string rate = item.flops > 0 ? fmt::format("{:.1f}", item.flops / time * 1e-12) : "";
    fmt::print("{:<24}{:>10.1f}{:>10.1f}{:>9.0f}{:>8.0f}%{:>10}\n", item.name, item.bytes / 1e6, time * 1e6,
               item.bytes / time / 1e9, 100 * item.bytes / time / copy_rate_, rate);
  }

 private:
  /// Of one call: the median over groups of calls.
  double seconds(const Call& call, std::size_t num_sets) {
    constexpr int kGroups = 9;
    const std::size_t group = std::max<std::size_t>(num_sets, device_.is_cuda() ? 10 : 2);
    std::vector<double> times;
    for (int i = 0; i < kGroups + 2; ++i) {
      const double time = device_.is_cuda() ? cuda_seconds(call, num_sets, group) : cpu_seconds(call, num_sets, group);
      times.push_back(time / static_cast<double>(group));
    }
    std::sort(times.begin() + 2, times.end());  // the first two are the warm-up
    return times[2 + kGroups / 2];
  }

  static double cpu_seconds(const Call& call, std::size_t num_sets, std::size_t group) {
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < group; ++i) {
      call(i % num_sets);
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  /// A copy runs first, and while it does the host gets ahead: what is timed is the device alone.
  double cuda_seconds(const Call& call, std::size_t num_sets, std::size_t group) {
    const c10::impl::VirtualGuardImpl guard(device_.type());
    const c10::Stream stream = guard.getStream(device_);
    c10::Event start(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
    c10::Event stop(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
    if (target_.defined()) {
      target_.copy_(source_);
    }
    start.record(stream);
    for (std::size_t i = 0; i < group; ++i) {
      call(i % num_sets);
    }
    stop.record(stream);
    stop.synchronize();
    return start.elapsedTime(stop) * 1e-3;
  }

  at::Device device_;
  at::Tensor source_;
  at::Tensor target_;
  double copy_rate_ = 0;
};

/// Inputs of every op, `num_sets` times over.
class Cases {
 public:
  Cases(at::Device device, const Shape& shape, std::int64_t batch, std::int64_t tokens)
      : ops_(ops_for(device.type())),
        shape_(shape),
        heads_{batch, tokens, shape.query_heads, shape.key_heads, shape.head_dim},
        options_(at::TensorOptions().device(device).dtype(device.is_cuda() ? at::kBFloat16 : at::kFloat)),
        element_(device.is_cuda() ? 2.0 : 4.0) {}

  void run(Bench& bench) const {
    run_norm(bench);
    run_rope(bench);
    run_attention(bench);
    run_swiglu(bench);
    run_optimizer(bench);
    run_fill(bench);
  }

 private:
  using Tensors = std::vector<at::Tensor>;

  [[nodiscard]] std::int64_t rows() const { return heads_.batch * heads_.tokens; }
  [[nodiscard]] std::int64_t packed() const { return (shape_.query_heads + 2 * shape_.key_heads) * shape_.head_dim; }
  [[nodiscard]] at::Tensor random(at::IntArrayRef sizes) const { return at::randn(sizes, options_); }
  [[nodiscard]] Tensors randoms(std::size_t count, at::IntArrayRef sizes) const {
    Tensors tensors(count);
    std::generate(tensors.begin(), tensors.end(), [&] { return random(sizes); });
    return tensors;
  }
  /// Enough sets that their inputs outgrow every cache (H200: 60 MB).
  [[nodiscard]] static std::size_t sets_for(double bytes) {
    return static_cast<std::size_t>(std::clamp(256e6 / bytes, 1.0, 16.0));
  }

  void run_norm(Bench& bench) const {
    const double tensor = element_ * static_cast<double>(rows() * shape_.hidden);
    const std::size_t num_sets = sets_for(tensor);
    const Tensors x = randoms(num_sets, {rows(), shape_.hidden});
    Tensors dy = randoms(num_sets, {rows(), shape_.hidden});
    const Tensors residual = randoms(num_sets, {rows(), shape_.hidden});
    const at::Tensor weight = random({shape_.hidden});
    const at::Tensor rstd = ops_.rms_norm_forward(x[0], weight, 1e-6).rstd_N;
    const GradientTarget target{at::empty_like(weight)};
    bench.run({"rms_norm_forward", 2 * tensor, 0, [&](std::size_t i) { ops_.rms_norm_forward(x[i], weight, 1e-6); }},
              num_sets);
    bench.run({"rms_norm_backward", 4 * tensor, 0,
               [&](std::size_t i) { ops_.rms_norm_backward(dy[i], x[i], weight, rstd, at::Tensor(), target); }},
              num_sets);
    bench.run({"  with residual", 5 * tensor, 0,
               [&](std::size_t i) { ops_.rms_norm_backward(dy[i], x[i], weight, rstd, residual[i], target); }},
              num_sets);
  }

  void run_rope(Bench& bench) const {
    const double tensor = element_ * static_cast<double>(rows() * packed());
    const double value = element_ * static_cast<double>(rows() * shape_.key_heads * shape_.head_dim);
    const std::size_t num_sets = sets_for(tensor);
    const Tensors qkv = randoms(num_sets, {rows(), packed()});
    const Tensors dq = randoms(num_sets, {heads_.batch, heads_.tokens, heads_.query_heads, heads_.head_dim});
    const Tensors dk = randoms(num_sets, {heads_.batch, heads_.tokens, heads_.key_heads, heads_.head_dim});
    const Tensors dv = randoms(num_sets, {heads_.batch, heads_.tokens, heads_.key_heads, heads_.head_dim});
    const at::Tensor weight = random({heads_.head_dim});
    const RotaryTable rotary = rotary_table();
    const QkNormRopeGradients targets{{at::empty_like(weight)}, {at::empty_like(weight)}};
    bench.run({"qk_norm_rope_forward", 2 * (tensor - value), 0,
               [&](std::size_t i) { ops_.qk_norm_rope_forward(qkv[i], weight, weight, rotary, heads_, 1e-6); }},
              num_sets);
    bench.run({"qk_norm_rope_backward", 3 * (tensor - value) + 2 * value, 0,
               [&](std::size_t i) {
                 ops_.qk_norm_rope_backward(dq[i], dk[i], dv[i], qkv[i], weight, weight, rotary, heads_, 1e-6, targets);
               }},
              num_sets);
  }

  void run_attention(Bench& bench) const {
    const auto num_queries = static_cast<double>(rows() * shape_.query_heads * shape_.head_dim);
    const auto num_keys = static_cast<double>(rows() * shape_.key_heads * shape_.head_dim);
    const at::Tensor q = random({heads_.batch, heads_.tokens, heads_.query_heads, heads_.head_dim});
    const at::Tensor k = random({heads_.batch, heads_.tokens, heads_.key_heads, heads_.head_dim});
    const at::Tensor v = random({heads_.batch, heads_.tokens, heads_.key_heads, heads_.head_dim});
    const at::Tensor dout = random(q.sizes());
    const AttentionResult result = ops_.attention_forward(q, k, v);
    const double flops = 2 * num_queries * static_cast<double>(heads_.tokens);  // two products, the causal half of each
    bench.run({"attention_forward", element_ * (2 * num_queries + 2 * num_keys), flops,
               [&](std::size_t) { ops_.attention_forward(q, k, v); }},
              1);
    bench.run({"attention_backward", element_ * (4 * num_queries + 4 * num_keys), 2.5 * flops,
               [&](std::size_t) { ops_.attention_backward(dout, q, k, v, result); }},
              1);
    run_self_attention(bench, dout, flops);
  }

  void run_self_attention(Bench& bench, const at::Tensor& dout, double flops) const {
    const at::Tensor qkv = random({rows(), packed()});
    const at::Tensor weight = random({heads_.head_dim});
    const RotaryTable rotary = rotary_table();
    const SelfAttentionInputs in{qkv, weight, weight, rotary, heads_, 1e-6};
    const double out = element_ * static_cast<double>(dout.numel());
    const double in_bytes = element_ * static_cast<double>(qkv.numel());
    const QkNormRopeGradients targets{{at::empty_like(weight)}, {at::empty_like(weight)}};
    const AttentionResult result = ops_.self_attention_forward(in);
    bench.run({"self_attention_forward", in_bytes + out, flops, [&](std::size_t) { ops_.self_attention_forward(in); }},
              1);
    bench.run({"self_attention_backward", 2 * in_bytes + 2 * out, 2.5 * flops,
               [&](std::size_t) { ops_.self_attention_backward(dout, in, result, targets); }},
              1);
  }

  [[nodiscard]] RotaryTable rotary_table() const {
    const RotaryTable made = make_rotary_table(heads_.tokens, heads_.head_dim, 1e6);
    return {made.cos_TE2.to(options_.device()), made.sin_TE2.to(options_.device())};
  }

  void run_swiglu(Bench& bench) const {
    const double tensor = element_ * static_cast<double>(rows() * shape_.intermediate);
    const std::size_t num_sets = sets_for(2 * tensor);
    Tensors gate_up = randoms(num_sets, {rows(), 2 * shape_.intermediate});
    Tensors dy = randoms(num_sets, {rows(), shape_.intermediate});
    bench.run({"swiglu_forward", 3 * tensor, 0, [&](std::size_t i) { ops_.swiglu_forward(gate_up[i]); }}, num_sets);
    bench.run({"swiglu_backward", 6 * tensor, 0, [&](std::size_t i) { ops_.swiglu_backward(dy[i], gate_up[i]); }},
              num_sets);
  }

  static Moment zero_codes(const at::Tensor& like) {
    const std::int64_t num_blocks = core::num_scale_blocks(like.numel());
    return {at::zeros_like(like, like.options().dtype(at::kByte)), at::zeros({num_blocks}, like.options())};
  }

  void run_optimizer(Bench& bench) const {
    const auto count = static_cast<double>(shape_.shard);
    const at::Tensor gradient = random({shape_.shard});
    const at::Tensor wide = gradient.to(at::kFloat);
    const bool is_bf16 = gradient.scalar_type() == at::kBFloat16;
    const at::Tensor low = is_bf16 ? at::zeros({shape_.shard}, wide.options().dtype(at::kShort)) : at::Tensor();
    const AdamWState state{{random({shape_.shard}), low}, gradient, wide.clone(), wide.square()};
    const AdamWParams params{.lr = 1e-4, .weight_decay = 0.05, .step = 10};
    const double adamw_bytes = is_bf16 ? 2 + 8 + 8 + 8 : 4 + 8 + 8 + 8;
    AdamWState coded = state;
    coded.exp_avg = zero_codes(wide);
    coded.exp_avg_sq = zero_codes(wide);
    AdamWState narrow = state;
    narrow.exp_avg = wide.to(at::kBFloat16);
    narrow.exp_avg_sq = wide.square().to(at::kBFloat16);
    at::Tensor total = at::zeros({}, wide.options().dtype(at::kDouble));
    at::Tensor sum = wide.clone();
    bench.run({"adamw_step", adamw_bytes * count, 0, [&](std::size_t) { ops_.adamw_step(state, params); }}, 1);
    const double saved_bytes = 2 * 2 * 2;  // two moments, read and written in two bytes less
    bench.run({"  moments bf16", (adamw_bytes - saved_bytes) * count, 0,
               [&](std::size_t) { ops_.adamw_step(narrow, params); }},
              1);
    const double coded_bytes = adamw_bytes - 2 * 2 * (4 - 1.0625);
    bench.run({"  moments 8bit", coded_bytes * count, 0, [&](std::size_t) { ops_.adamw_step(coded, params); }}, 1);
    bench.run(
        {"add_sum_of_squares", element_ * count, 0, [&](std::size_t) { ops_.add_sum_of_squares(gradient, total); }}, 1);
    bench.run({"  of fp32", 4 * count, 0, [&](std::size_t) { ops_.add_sum_of_squares(wide, total); }}, 1);
    bench.run({"accumulate", (8 + element_) * count, 0, [&](std::size_t) { ops_.accumulate(sum, gradient); }}, 1);
  }

  void run_fill(Bench& bench) const {
    at::Tensor flat = at::empty({shape_.shard}, options_.dtype(at::kFloat));
    const double bytes = 4 * static_cast<double>(shape_.shard);
    bench.run({"fill_normal", bytes, 0, [&](std::size_t) { ops_.fill_normal(flat, {}, 0, 1); }}, 1);
    bench.run({"fill_uniform", bytes, 0, [&](std::size_t) { ops_.fill_uniform(flat, {}, 0, 1); }}, 1);
  }

  const Ops& ops_;
  Shape shape_;
  HeadShape heads_;
  at::TensorOptions options_;
  double element_;
};

void run(const std::vector<std::string>& arguments) {
  if (!arguments.empty() && arguments[0] == "host") {
    return bench_host_optimizer(arguments.size() > 1 ? std::stoll(arguments[1]) : 50'000'000);
  }
  const bool is_cuda = arguments.empty() ? at::hasCUDA() : arguments[0] == "cuda";
  const std::string preset = arguments.size() > 1 ? arguments[1] : is_cuda ? "8b" : "tiny";
  const auto found = kPresets.find(preset);
  core::require<core::UserError>(found != kPresets.end(), "kernel_bench", "there is no preset {}", preset);
  const std::int64_t batch = arguments.size() > 2 ? std::stoll(arguments[2]) : 64;
  const std::int64_t tokens = arguments.size() > 3 ? std::stoll(arguments[3]) : is_cuda ? 196 : 16;
  const at::Device device = is_cuda ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  fmt::print("{} on {}: {} images of {} tokens\n", preset, device.str(), batch, tokens);
  Bench bench(device);
  Cases(device, found->second, batch, tokens).run(bench);
}

}  // namespace
}  // namespace tessera::kernels

int main(int argc, char** argv) {
  try {
    tessera::kernels::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
