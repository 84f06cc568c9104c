// Ranks that run with different libraries.
#include "train/environment.hpp"
#include "support/mpi_world.hpp"
#include "tessera/core/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tessera::train {
namespace {

using test::world;
using testing::AllOf;
using testing::HasSubstr;

TEST(SameEnvironment, IsTakenOnEveryRank) {
  EXPECT_NO_THROW(require_sound_environment(world(), false));
  Environment mine = this_environment();
  mine.driver = "driver of rank " + std::to_string(world().rank());
  EXPECT_NO_THROW(require_same_environment(world(), mine)) << "a driver is its node's own";
}

TEST(SameEnvironment, IsDemandedOfEveryRank) {
  Environment mine = this_environment();
  if (world().rank() == world().size() - 1) {
    mine.mpi.found = "Open MPI v4.1.99";
  }
  if (world().size() == 1) {
    EXPECT_NO_THROW(require_same_environment(world(), mine));
    return;
  }
  try {
    require_same_environment(world(), mine);
    FAIL() << "another MPI on the last rank must be refused on every rank";
  } catch (const core::AgreedUserError& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("rank " + std::to_string(world().size() - 1) + " on "),
                      HasSubstr("runs with mpi Open MPI v4.1.99"), HasSubstr("rank 0 with mpi Open MPI v")));
  }
}

}  // namespace
}  // namespace tessera::train
