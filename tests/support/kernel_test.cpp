#include "support/kernel_test.hpp"

#include "tessera/core/scale_blocks.hpp"

#include <ATen/CPUGeneratorImpl.h>

#include <cstdint>

namespace tessera::test {

void KernelTest::SetUp() {
  if (GetParam() == "reference") {
    ops_ = &kernels::reference_ops();
    return;
  }
  if (GetParam() == "cuda") {
    if (!at::hasCUDA()) {
      GTEST_SKIP() << "no CUDA device";
    }
    device_ = at::Device(at::kCUDA, 0);
  }
  ops_ = &kernels::ops_for(device_.type());
}

at::Tensor KernelTest::random(at::IntArrayRef sizes, at::ScalarType type, std::uint64_t seed) const {
  const at::Generator generator = at::detail::createCPUGenerator(seed);
  return at::randn(sizes, generator, at::TensorOptions().dtype(at::kFloat)).to(type).to(device_);
}

at::Tensor KernelTest::copy_of(const at::Tensor& tensor) {
  const bool is_aligned = reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % 16 == 0;
  return is_aligned ? tensor.clone() : misaligned(tensor);
}

at::Tensor KernelTest::misaligned(const at::Tensor& tensor) {
  const at::Tensor storage = at::empty({tensor.numel() + 1}, tensor.options());
  at::Tensor moved = storage.narrow(0, 1, tensor.numel()).view(tensor.sizes());
  moved.copy_(tensor);
  return moved;
}

double unit_of(at::ScalarType type) { return type == at::kBFloat16 ? 0x1p-8 : type == at::kFloat ? 0x1p-24 : 0x1p-53; }

at::Tensor exact(const at::Tensor& tensor) { return tensor.detach().to(at::kCPU).to(at::kDouble); }

at::Tensor exact_leaf(const at::Tensor& tensor) { return exact(tensor).clone().requires_grad_(true); }

void expect_within(const at::Tensor& actual, const at::Tensor& expected, const at::Tensor& bound, const char* what) {
  const c10::NoGradGuard no_grad;
  ASSERT_EQ(actual.sizes(), expected.sizes()) << what;
  const at::Tensor error = (exact(actual) - expected.detach()).abs();
  EXPECT_TRUE(at::isfinite(error).all().item<bool>()) << what << ": some elements are not numbers";
  const at::Tensor allowed = bound.detach() + 1e-36;  // numbers below 1e-38 are lost in fp32, some of them times a few
  const at::Tensor ratio = (error / allowed).flatten();
  const double worst = ratio.numel() == 0 ? 0 : ratio.max().item<double>();
  if (!(worst <= 1)) {
    const auto at = ratio.argmax().item<std::int64_t>();
    ADD_FAILURE() << what << ": element " << at << " of " << ratio.numel() << " is off by "
                  << error.flatten()[at].item<double>() << ", " << worst << " times the bound; expected "
                  << expected.flatten()[at].item<double>();
  }
}

kernels::Parameter parameter_of(const at::Tensor& values, at::ScalarType type) {
  if (type == at::kFloat) {
    return {values.clone(), {}};
  }
  kernels::Parameter parameter{at::empty_like(values, values.options().dtype(type)),
                               at::empty_like(values, values.options().dtype(at::kShort))};
  kernels::split_parameter(values, parameter);
  return parameter;
}

kernels::Moment zero_moment(const at::Tensor& like, at::ScalarType type) {
  const at::Tensor values = at::zeros_like(like, like.options().dtype(type));
  const bool is_coded = type == at::kByte;
  return {values, is_coded ? at::zeros({core::num_scale_blocks(like.numel())}, like.options().dtype(at::kFloat))
                           : at::Tensor()};
}

at::Tensor exact(const kernels::Moment& moment, bool is_signed) {
  if (!moment.scales.defined()) {
    return exact(moment.values);
  }
  const at::Tensor codes = moment.values.cpu();
  const at::Tensor scales = moment.scales.cpu();
  const at::Tensor values = at::empty(codes.sizes(), at::kFloat);
  core::decode_blocks(codes.const_data_ptr<std::uint8_t>(), scales.const_data_ptr<float>(), is_signed, codes.numel(),
                      values.mutable_data_ptr<float>());
  return values.to(at::kDouble);
}

void expect_same_bits(const kernels::Moment& actual, const kernels::Moment& expected) {
  const auto same = [](const at::Tensor& a, const at::Tensor& b) { return at::equal(a.cpu(), b.cpu()); };
  EXPECT_TRUE(same(actual.values, expected.values));
  ASSERT_EQ(actual.scales.defined(), expected.scales.defined());
  EXPECT_TRUE(!actual.scales.defined() || same(actual.scales, expected.scales));
}

void expect_rounded(const at::Tensor& weight, const at::Tensor& values) {
  const at::Tensor least = (exact(values) - exact(values.to(weight.scalar_type()))).abs();
  EXPECT_TRUE((exact(values) - exact(weight)).abs().le(least).all().item<bool>());
}

}  // namespace tessera::test
