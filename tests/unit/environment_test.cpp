// Which environments are refused, from invented ones.
#include "train/environment.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tessera::train {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;

Environment sound() {
  Environment environment;
  environment.tessera = {"tessera", "0.1.0", "0.1.0"};
  environment.mpi = {"mpi", "Open MPI v4.1.4", "Open MPI v4.1.4"};
  environment.hdf5 = {"hdf5", "1.10.8", "1.10.8"};
  environment.torch = {"torch", "2.11.0", "2.11.0"};
  environment.cuda = {"cuda", "13.0", "13.0"};
  environment.nccl = {"nccl", "2.28.9", "2.28.9"};
  environment.driver = "580.95.05";
  environment.driver_cuda = "13.0";
  return environment;
}

std::vector<std::string> problems_with(const std::function<void(Environment&)>& change, bool uses_gpus = true) {
  Environment environment = sound();
  change(environment);
  return environment_problems(environment, uses_gpus);
}

TEST(EnvironmentTest, TakesWhatFitsTogether) {
  EXPECT_THAT(problems_with([](Environment&) {}), IsEmpty());
  EXPECT_THAT(problems_with([](Environment& now) { now.mpi.found = "Open MPI v4.1.6"; }), IsEmpty())
      << "newer, one ABI";
  EXPECT_THAT(problems_with([](Environment& now) { now.nccl.found = "2.29.1"; }), IsEmpty());
  EXPECT_THAT(problems_with([](Environment& now) { now.driver_cuda = "13.2"; }), IsEmpty());
  EXPECT_THAT(problems_with([](Environment& now) { now.cuda.compiled = now.cuda.found = "13.1"; }), IsEmpty())
      << "minor versions of CUDA are compatible";
  EXPECT_THAT(problems_with([](Environment& now) { now.driver = now.driver_cuda = ""; }), IsEmpty()) << "no GPU here";
}

TEST(EnvironmentTest, TakesThisOne) {
  const Environment here = this_environment();
  EXPECT_THAT(environment_problems(here, false), IsEmpty());
  EXPECT_EQ(here.mpi.compiled, here.mpi.found);
  EXPECT_EQ(here.torch.compiled, here.torch.found);
  EXPECT_EQ(here.hdf5.compiled, here.hdf5.found);
  EXPECT_TRUE(here.hdf5_is_parallel);
}

TEST(EnvironmentTest, RefusesASerialHdf5) {
  EXPECT_THAT(problems_with([](Environment& now) { now.hdf5_is_parallel = false; }),
              ElementsAre(AllOf(HasSubstr("HDF5 1.10.8 was built without MPI"), HasSubstr("libhdf5-openmpi"))));
}

TEST(EnvironmentTest, RefusesLibrariesOtherThanThoseItWasCompiledAgainst) {
  EXPECT_THAT(problems_with([](Environment& now) { now.mpi.found = "Open MPI v5.0.3"; }),
              ElementsAre(HasSubstr("compiled against Open MPI v4.1.4 and finds Open MPI v5.0.3")));
  EXPECT_THAT(problems_with([](Environment& now) { now.mpi.found = "Open MPI v4.0.3"; }),
              ElementsAre(HasSubstr("mpicc")));
  EXPECT_THAT(problems_with([](Environment& now) { now.mpi.found = "MPICH Version: 4.1.4"; }),
              ElementsAre(HasSubstr("MPICH")));
  EXPECT_THAT(problems_with([](Environment& now) { now.hdf5.found = "1.14.3"; }),
              ElementsAre(HasSubstr("HDF5 1.10.8 and finds 1.14.3")));
  EXPECT_THAT(problems_with([](Environment& now) { now.torch.found = "2.10.0"; }),
              ElementsAre(HasSubstr("LibTorch 2.11.0 and finds 2.10.0")));
}

TEST(EnvironmentTest, RefusesADriverThatIsTooOld) {
  const auto old_driver = [](Environment& now) {
    now.driver = "535.104.05";
    now.driver_cuda = "12.2";
  };
  EXPECT_THAT(
      problems_with(old_driver),
      ElementsAre(AllOf(HasSubstr("driver 535.104.05 knows CUDA up to 12.2, and the program runs with CUDA 13.0"),
                        HasSubstr("--device cpu"))));
  EXPECT_THAT(problems_with(old_driver, false), IsEmpty()) << "a run on CPUs needs no driver";
}

TEST(EnvironmentTest, RefusesAnOlderNccl) {
  EXPECT_THAT(problems_with([](Environment& now) { now.nccl.found = "2.21.5"; }),
              ElementsAre(HasSubstr("NCCL 2.28.9 and finds 2.21.5")));
  EXPECT_THAT(problems_with([](Environment& now) { now.cuda.found = "12.8"; }),
              ElementsAre(HasSubstr("compiled with CUDA 13.0 and finds the runtime of 12.8")));
}

TEST(EnvironmentTest, TellsVersionsAndWhereTheyDiffer) {
  Environment environment = sound();
  environment.mpi.found = "Open MPI v4.1.6";
  environment.nccl = {"nccl", "", ""};
  const auto versions = versions_of(environment);
  EXPECT_THAT(versions, Contains(Pair("mpi", "Open MPI v4.1.6")));
  EXPECT_THAT(versions, Contains(Pair("mpi (compiled)", "Open MPI v4.1.4")));
  EXPECT_THAT(versions, Contains(Pair("nccl", "none")));
  EXPECT_THAT(versions, Contains(Pair("driver", "580.95.05")));
  EXPECT_THAT(versions, Not(Contains(Pair("hdf5 (compiled)", testing::_))));
}

}  // namespace
}  // namespace tessera::train
