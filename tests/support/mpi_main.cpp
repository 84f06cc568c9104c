// Runs the same GoogleTest program on every rank. Rank 0 reports; any rank that fails speaks and fails the run.
#include "support/mpi_world.hpp"
#include "tessera/topology/session.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>

namespace tessera::test {
namespace {

// Failures of the other ranks only, marked with the rank.
class FailuresOnly : public testing::EmptyTestEventListener {
 public:
  explicit FailuresOnly(int rank) : rank_(rank) {}
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (result.failed()) {
      std::fprintf(stderr, "[rank %d] %s:%d: %s\n", rank_, result.file_name() != nullptr ? result.file_name() : "?",
                   result.line_number(), result.message());
    }
  }

 private:
  int rank_;
};

const topology::Group* current_world = nullptr;

}  // namespace

const topology::Group& world() { return *current_world; }

}  // namespace tessera::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const tessera::topology::Session session;
  tessera::test::current_world = &session.world();
  const int rank = session.world().rank();
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  if (rank != 0) {
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new tessera::test::FailuresOnly(rank));
  }
  std::int64_t failed = RUN_ALL_TESTS() != 0 ? 1 : 0;
  session.world().sum(std::span(&failed, 1));
  return failed == 0 ? 0 : 1;
}
