#include "tessera/engine/tensor_collectives.hpp"

#include "engine/context.hpp"

#include <ATen/ops/empty.h>

#include <vector>

namespace tessera::engine {

void sum_over_ranks(comm::Collectives& collectives, at::Tensor& values) {
  const core::Stream stream = current_stream(values.device());
  collectives
      .all_reduce(values.mutable_data_ptr(), static_cast<std::size_t>(values.numel()), to_dtype(values.scalar_type()),
                  stream)
      .wait(stream);
}

at::Tensor gather_over_ranks(comm::Collectives& collectives, const at::Tensor& mine) {
  if (collectives.size() == 1) {
    return mine.unsqueeze(0);
  }
  std::vector<std::int64_t> shape{collectives.size()};
  shape.insert(shape.end(), mine.sizes().begin(), mine.sizes().end());
  at::Tensor all = at::empty(shape, mine.options());
  const core::Stream stream = current_stream(mine.device());
  collectives
      .all_gather(mine.const_data_ptr(), all.mutable_data_ptr(), static_cast<std::size_t>(mine.numel()),
                  to_dtype(mine.scalar_type()), stream)
      .wait(stream);
  return all;
}

}  // namespace tessera::engine
