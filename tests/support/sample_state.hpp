#pragma once

#include "tessera/state/run_state.hpp"
#include "tessera/state/state_view.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace tessera::test {

/// The value of one element of one fp32 tensor: a closed form, so that any rank can check any piece. `salt` tells one
/// checkpoint from another.
float sample_value(const state::TensorInfo& tensor, std::int64_t element, int salt);

/// State as a sharded run holds it, on the heap: rank `rank` of `size` owns an equal part of all elements, one after
/// the other over all tensors, so that the cuts fall in the middle of rows.
class SampleState {
 public:
  struct Options {
    core::DType weight = core::DType::kBFloat16;  ///< fp32: without masters
    core::DType moments = core::DType::kFloat32;
    bool coded_moments = false;  ///< in 8 bits; on one rank, whose views begin with blocks
    int salt = 0;
    bool last_rank_is_empty = false;
    bool only_weights = false;
  };

  SampleState(int rank, int size, const Options& options);

  [[nodiscard]] const state::StateDescription& description() const { return description_; }
  state::StateDescription& description() { return description_; }

  /// Puts the closed form into the views, or zeros; into moments in 8 bits what these can hold of it.
  void fill();
  void clear();
  /// The first element that is not the closed form's, for a test's message; empty where all are.
  [[nodiscard]] std::string find_difference() const;

 private:
  void add(const state::TensorInfo& tensor, std::int64_t begin, std::int64_t end, bool is_coded);

  int salt_;
  state::StateDescription description_;
  std::deque<std::vector<std::byte>> storage_;
};

/// Where the sample's run stands, every field with a value of its own.
state::RunState sample_run(std::int64_t global_step);

}  // namespace tessera::test
