#pragma once

#include "tessera/kernels/ops.hpp"

#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <string>

namespace tessera::test {

/// A test that runs with every implementation of the ops: "reference", "cpu" (ops_for(CPU)) and "cuda" (ops_for(CUDA);
/// skipped where there is no device).
class KernelTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override;

  [[nodiscard]] const kernels::Ops& ops() const { return *ops_; }
  [[nodiscard]] at::Device device() const { return device_; }
  [[nodiscard]] bool is_cuda() const { return device_.is_cuda(); }

  /// Normal numbers, made on the CPU from `seed` and moved to the device.
  [[nodiscard]] at::Tensor random(at::IntArrayRef sizes, at::ScalarType type, std::uint64_t seed) const;
  /// The same values elsewhere, at a 16-byte boundary or not, as the tensor is.
  [[nodiscard]] static at::Tensor copy_of(const at::Tensor& tensor);
  /// The same values that do not start at a 16-byte boundary.
  [[nodiscard]] static at::Tensor misaligned(const at::Tensor& tensor);

 private:
  const kernels::Ops* ops_ = nullptr;
  at::Device device_{at::kCPU};
};

inline const auto kImplementations = testing::Values("reference", "cpu", "cuda");
inline std::string implementation_name(const testing::TestParamInfo<std::string>& info) { return info.param; }

/// Unit roundoff: half the distance from 1 to the next number.
double unit_of(at::ScalarType type);

/// The tensor as fp64 on the CPU, for a formula that is to be exact.
at::Tensor exact(const at::Tensor& tensor);

/// The same, as a leaf of the graph that autograd differentiates.
at::Tensor exact_leaf(const at::Tensor& tensor);

/// Every element of `actual` is a number within `bound` of `expected` (both fp64 on the CPU). Name the bound's origin
/// where it is computed.
void expect_within(const at::Tensor& actual, const at::Tensor& expected, const at::Tensor& bound, const char* what);

/// What an optimizer updates, with fp32 `values` of any alignment and a weight of `type`.
kernels::Parameter parameter_of(const at::Tensor& values, at::ScalarType type);

/// How an optimizer may keep a moment; kByte: in codes.
constexpr at::ScalarType kMomentTypes[] = {at::kFloat, at::kBFloat16, at::kByte};

/// A moment of zeros, as many as `like` has.
kernels::Moment zero_moment(const at::Tensor& like, at::ScalarType type);

/// What it stands for, as fp64 on the CPU.
at::Tensor exact(const kernels::Moment& moment, bool is_signed);

/// move(tensor) of each of the moment's tensors.
template <class Move>
kernels::Moment moved(const kernels::Moment& moment, const Move& move) {
  return {move(moment.values), move(moment.scales)};
}

void expect_same_bits(const kernels::Moment& actual, const kernels::Moment& expected);

/// `weight` is fp32 `values`, or as near to them as bf16 can be.
void expect_rounded(const at::Tensor& weight, const at::Tensor& values);

}  // namespace tessera::test
