#pragma once

#include "support/mpi_world.hpp"
#include "support/scratch.hpp"

#include <memory>
#include <string>

namespace tessera::test {

/// A scratch directory of rank 0 that all ranks know. Collective over the world, made and destroyed.
class SharedScratch {
 public:
  SharedScratch() {
    if (world().rank() == 0) {
      own_ = std::make_unique<ScratchDirectory>();
    }
    path_ = world().broadcast(own_ ? own_->path() : "", 0);
  }
  SharedScratch(const SharedScratch&) = delete;
  SharedScratch& operator=(const SharedScratch&) = delete;
  SharedScratch(SharedScratch&&) = delete;
  SharedScratch& operator=(SharedScratch&&) = delete;
  ~SharedScratch() { world().barrier(); }

  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::unique_ptr<ScratchDirectory> own_;
  std::string path_;
};

}  // namespace tessera::test
