#include "topology/give_way.hpp"
#include "support/mpi_world.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>

#include <cstdlib>
#include <string>

namespace tessera::topology {
namespace {

// How often this thread has gone to sleep: a yield does not count as that.
long times_slept() {
  rusage usage{};
  EXPECT_EQ(::getrusage(RUSAGE_THREAD, &usage), 0);
  return usage.ru_nvcsw;
}

// A sleep that is over before it has begun does not count either, as happens where the thread is interrupted there.
bool sleeps_in_yields() {
  constexpr int kYields = 200;
  const long before = times_slept();
  for (int i = 0; i < kYields; ++i) {
    EXPECT_EQ(::sched_yield(), 0);
  }
  return times_slept() - before > kYields / 2;
}

TEST(GiveWay, AYieldSleepsWhereItIsTo) {
  sleep_to_yield(true);
  EXPECT_TRUE(sleeps_in_yields());
  sleep_to_yield(false);
  EXPECT_FALSE(sleeps_in_yields());
  sleep_to_yield(mpi_yields());
}

// The MPI library's calls are bound to whatever this finds.
TEST(GiveWay, LibrariesFindTheYieldOfTheProgram) {
  EXPECT_EQ(::dlsym(RTLD_DEFAULT, "sched_yield"), reinterpret_cast<void*>(&::sched_yield));
  Dl_info owner{};
  ASSERT_NE(::dladdr(reinterpret_cast<void*>(&::sched_yield), &owner), 0);
  EXPECT_EQ(std::string(owner.dli_fname).find("libc.so"), std::string::npos) << owner.dli_fname;
}

// mpirun has said whether the ranks of this test have cores of their own.
TEST(GiveWay, WhereMpiYields) {
  const char* crowded = std::getenv("OMPI_MCA_mpi_oversubscribe");
  ASSERT_NE(crowded, nullptr);
  ::unsetenv("OMPI_MCA_mpi_yield_when_idle");
  EXPECT_EQ(mpi_yields(), std::string(crowded) == "1");
  EXPECT_EQ(sleeps_in_yields(), mpi_yields());
  ::setenv("OMPI_MCA_mpi_yield_when_idle", "1", 1);
  EXPECT_TRUE(mpi_yields());
  ::setenv("OMPI_MCA_mpi_yield_when_idle", "0", 1);
  EXPECT_FALSE(mpi_yields());
  ::unsetenv("OMPI_MCA_mpi_yield_when_idle");
}

}  // namespace
}  // namespace tessera::topology
