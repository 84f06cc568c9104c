#include "kernels/linear/product_cuda.hpp"

#include "tessera/core/error.hpp"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/cuda/CUDAContextLight.h>
#include <c10/core/Event.h>
#include <c10/cuda/CUDAStream.h>
#include <cublasLt.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

namespace tessera::kernels::linear {
namespace {

void check(cublasStatus_t status, const char* what) {
  core::require(status == CUBLAS_STATUS_SUCCESS, "kernels", "cuBLASLt: {}: {}", what, cublasLtGetStatusString(status));
}

/// Owns one of cuBLASLt's descriptors.
template <class Handle, cublasStatus_t (*kDestroy)(Handle)>
struct Destroyer {
  using pointer = Handle;
  void operator()(Handle handle) const { kDestroy(handle); }
};
using Layout = std::unique_ptr<cublasLtMatrixLayout_t, Destroyer<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>>;
using Descriptor = std::unique_ptr<cublasLtMatmulDesc_t, Destroyer<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>>;
using Preference =
    std::unique_ptr<cublasLtMatmulPreference_t, Destroyer<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>>;

cudaDataType_t data_type(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kBFloat16 ? CUDA_R_16BF : CUDA_R_32F;
}

/// A lone row may have any stride, which cuBLAS would refuse.
std::int64_t row_stride(const at::Tensor& matrix) { return std::max(matrix.stride(0), matrix.size(1)); }

/// The greatest power of two, up to what cuBLAS cares for, that divides the address.
std::uint32_t alignment_of(const at::Tensor& tensor) {
  constexpr std::uintptr_t kMost = 256;
  const auto address = reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr());
  return static_cast<std::uint32_t>(std::min(kMost, address & (~address + 1)));
}

Layout make_layout(const at::Tensor& matrix) {
  cublasLtMatrixLayout_t layout = nullptr;
  check(cublasLtMatrixLayoutCreate(&layout, data_type(matrix), static_cast<std::uint64_t>(matrix.size(1)),
                                   static_cast<std::uint64_t>(matrix.size(0)), row_stride(matrix)),
        "a matrix's layout");
  return Layout(layout);
}

/// A product made ready for cuBLASLt.
class Call {
 public:
  explicit Call(const Product& product)
      : product_(product),
        left_(make_layout(product.left.matrix)),
        right_(make_layout(product.right.matrix)),
        c_(make_layout(product.c.defined() ? product.c : product.d)),
        d_(make_layout(product.d)) {
    cublasLtMatmulDesc_t descriptor = nullptr;
    check(cublasLtMatmulDescCreate(&descriptor, CUBLAS_COMPUTE_32F, CUDA_R_32F), "a product's description");
    descriptor_.reset(descriptor);
    transpose(CUBLASLT_MATMUL_DESC_TRANSA, product.left.transposed);
    transpose(CUBLASLT_MATMUL_DESC_TRANSB, product.right.transposed);
  }

  void run(const cublasLtMatmulAlgo_t& algorithm) const {
    const float one = 1;
    const float beta = product_.c.defined() ? 1 : 0;
    const at::Tensor& c = product_.c.defined() ? product_.c : product_.d;
    check(cublasLtMatmul(at::cuda::getCurrentCUDABlasLtHandle(), descriptor_.get(), &one,
                         product_.left.matrix.const_data_ptr(), left_.get(), product_.right.matrix.const_data_ptr(),
                         right_.get(), &beta, c.const_data_ptr(), c_.get(), product_.d.mutable_data_ptr(), d_.get(),
                         &algorithm, at::cuda::getCUDABlasLtWorkspace(), at::cuda::getCUDABlasLtWorkspaceSize(),
                         c10::cuda::getCurrentCUDAStream()),
          "a product");
  }

  /// The best first, by cuBLASLt's own estimate.
  [[nodiscard]] std::vector<cublasLtMatmulAlgo_t> candidates() const {
    cublasLtMatmulPreference_t preference = nullptr;
    check(cublasLtMatmulPreferenceCreate(&preference), "preferences");
    const Preference owner(preference);
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t what, auto value) {
      check(cublasLtMatmulPreferenceSetAttribute(preference, what, &value, sizeof(value)), "a preference");
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::size_t{at::cuda::getCUDABlasLtWorkspaceSize()});
    // Where a sum is taken in parts, they meet in fp32, never in the result's type.
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(product_.left.matrix));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(product_.right.matrix));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(product_.c.defined() ? product_.c : product_.d));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(product_.d));
    constexpr int kMost = 8;  // cuBLASLt 13 names no more for these shapes
    std::array<cublasLtMatmulHeuristicResult_t, kMost> results{};
    int found = 0;
    check(cublasLtMatmulAlgoGetHeuristic(at::cuda::getCurrentCUDABlasLtHandle(), descriptor_.get(), left_.get(),
                                         right_.get(), c_.get(), d_.get(), preference, kMost, results.data(), &found),
          "no algorithm for a product");
    std::vector<cublasLtMatmulAlgo_t> algorithms;
    for (int i = 0; i < found; ++i) {
      if (results[static_cast<std::size_t>(i)].state == CUBLAS_STATUS_SUCCESS) {
        algorithms.push_back(results[static_cast<std::size_t>(i)].algo);
      }
    }
    core::require(!algorithms.empty(), "kernels", "cuBLASLt has no algorithm for a product of [{}, {}]",
                  product_.d.size(0), product_.d.size(1));
    return algorithms;
  }

 private:
  void transpose(cublasLtMatmulDescAttributes_t which, bool transposed) {
    const cublasOperation_t operation = transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    check(cublasLtMatmulDescSetAttribute(descriptor_.get(), which, &operation, sizeof(operation)), "a transposition");
  }

  const Product& product_;
  Layout left_;
  Layout right_;
  Layout c_;
  Layout d_;
  Descriptor descriptor_;
};

float milliseconds_of(const Call& call, const cublasLtMatmulAlgo_t& algorithm) {
  constexpr int kRuns = 4;
  const c10::Stream stream = c10::cuda::getCurrentCUDAStream();
  c10::Event begin(c10::DeviceType::CUDA, c10::EventFlag::BACKEND_DEFAULT);
  c10::Event end(c10::DeviceType::CUDA, c10::EventFlag::BACKEND_DEFAULT);
  call.run(algorithm);
  begin.record(stream);
  for (int i = 0; i < kRuns; ++i) {
    call.run(algorithm);
  }
  end.record(stream);
  end.synchronize();
  return static_cast<float>(begin.elapsedTime(end)) / kRuns;
}

/// A number that two results of the same bits share, and others hardly do.
std::int64_t sum_of_bits(const at::Tensor& result) {
  const at::Tensor flat = result.is_contiguous() ? result.view({-1}) : result;
  // As whole words where they are: ATen first converts a sum of another type, to four times the result's memory.
  const std::int64_t per_word = static_cast<std::int64_t>(sizeof(std::int64_t)) / flat.element_size();
  const bool are_words = flat.dim() == 1 && flat.numel() % per_word == 0 && flat.storage_offset() % per_word == 0;
  const at::ScalarType integer = flat.scalar_type() == at::kBFloat16 ? at::kShort : at::kInt;
  return flat.view(are_words ? at::kLong : integer).sum(at::kLong).item<std::int64_t>();
}

/// Runs the product several times, which must not add onto its own result.
cublasLtMatmulAlgo_t fastest_with_same_bits(const Call& call, const at::Tensor& d,
                                            const std::vector<cublasLtMatmulAlgo_t>& candidates) {
  cublasLtMatmulAlgo_t best = candidates.front();
  float best_time = milliseconds_of(call, best);
  const std::int64_t bits = sum_of_bits(d);
  for (std::size_t i = 1; i < candidates.size(); ++i) {
    const float time = milliseconds_of(call, candidates[i]);
    if (time < best_time && sum_of_bits(d) == bits) {
      best = candidates[i];
      best_time = time;
    }
  }
  return best;
}

// Everything that an algorithm depends on.
using Key = std::tuple<int, at::ScalarType, bool, bool, std::array<std::int64_t, 12>>;

Key key_of(const Product& product) {
  const at::Tensor& left = product.left.matrix;
  const at::Tensor& right = product.right.matrix;
  return {product.d.device().index(),
          product.d.scalar_type(),
          product.left.transposed,
          product.right.transposed,
          {left.size(0), left.size(1), row_stride(left), alignment_of(left), right.size(0), right.size(1),
           row_stride(right), alignment_of(right), row_stride(product.d), alignment_of(product.d),
           product.c.defined() ? row_stride(product.c) : 0, product.c.defined() ? alignment_of(product.c) : 0}};
}

/// What was chosen so far, per process, as cuBLAS keeps its handles.
class Choices {
 public:
  cublasLtMatmulAlgo_t of(const Product& product, const Call& call) {
    const Key key = key_of(product);
    const std::scoped_lock lock(mutex_);
    if (const auto known = chosen_.find(key); known != chosen_.end()) {
      return known->second;
    }
    const std::vector<cublasLtMatmulAlgo_t> candidates = call.candidates();
    const bool adds_onto_itself = product.c.defined() && product.c.is_same(product.d);
    const bool takes_first =
        adds_onto_itself || candidates.size() == 1 || at::globalContext().deterministicAlgorithms();
    const cublasLtMatmulAlgo_t algorithm =
        takes_first ? candidates.front() : fastest_with_same_bits(call, product.d, candidates);
    return chosen_.emplace(key, algorithm).first->second;
  }

 private:
  std::mutex mutex_;
  std::map<Key, cublasLtMatmulAlgo_t> chosen_;
};

}  // namespace

void multiply(const Product& product) {
  static Choices choices;
  const Call call(product);
  call.run(choices.of(product, call));
}

}  // namespace tessera::kernels::linear
