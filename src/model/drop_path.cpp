#include "tessera/model/drop_path.hpp"

#include "tessera/core/philox.hpp"

#include <ATen/ops/empty.h>

#include <string_view>

namespace tessera::model {
namespace {

constexpr std::int64_t kBranches = 2;
constexpr std::string_view kStream = "model.drop_path";

// A word for each of the branches, four a counter.
std::uint32_t word_of(std::uint64_t key, std::int64_t epoch, std::int64_t image, std::int64_t branch) {
  const auto counter = static_cast<std::uint64_t>(epoch) << 16U | static_cast<std::uint64_t>(branch / 4);
  return core::philox(key, static_cast<std::uint64_t>(image), counter).value[branch % 4];
}

}  // namespace

double DropPath::rate_of(std::int64_t block) const {
  return num_blocks > 1 ? rate * static_cast<double>(block) / static_cast<double>(num_blocks - 1) : 0;
}

at::Tensor draw_branch_scales(const DropPath& drop, std::int64_t epoch, const std::vector<std::int64_t>& images,
                              c10::Device device) {
  const core::Philox4 words = core::philox(drop.seed, core::hash_name(kStream.data(), kStream.size()), 0);
  const std::uint64_t key = (std::uint64_t{words.value[1]} << 32U) | words.value[0];
  const auto num_images = static_cast<std::int64_t>(images.size());
  const at::Tensor scales_L2B = at::empty({drop.num_blocks, kBranches, num_images},
                                          at::TensorOptions().dtype(at::kFloat).pinned_memory(!device.is_cpu()));
  auto* next = scales_L2B.mutable_data_ptr<float>();
  for (std::int64_t branch = 0; branch < kBranches * drop.num_blocks; ++branch) {
    const double rate = drop.rate_of(branch / kBranches);
    for (const std::int64_t image : images) {
      const bool dropped = core::uniform_float(word_of(key, epoch, image, branch)) < rate;
      *next++ = dropped ? 0.0F : static_cast<float>(1 / (1 - rate));
    }
  }
  return scales_L2B.to(device, /*non_blocking=*/true);
}

BranchScales scales_of_block(const at::Tensor& branch_scales_L2B, std::int64_t block) {
  if (!branch_scales_L2B.defined() || block == 0) {
    return {};  // the first block's probability is 0
  }
  return {branch_scales_L2B.select(0, block).select(0, 0), branch_scales_L2B.select(0, block).select(0, 1)};
}

}  // namespace tessera::model
