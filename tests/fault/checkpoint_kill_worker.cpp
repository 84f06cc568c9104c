// One rank of a save that ends by SIGKILL: run by checkpoint_kill_test under mpirun.
//   checkpoint_kill_worker RUN_DIR RANK STEP    kills rank RANK before its step STEP (from 0) of the second save
// With a STEP beyond the last, everything is saved and each rank prints "rank R: N steps".
#include "support/sample_state.hpp"
#include "tessera/checkpoint/save.hpp"
#include "tessera/topology/session.hpp"

#include <csignal>
#include <cstdio>
#include <string>

namespace {

using namespace tessera;

void save_sample(const std::string& run_dir, int number, const topology::Group& world, const io::FileSystem& files) {
  const test::SampleState state(world.rank(), world.size(), {.salt = number});
  checkpoint::SaveRequest request;
  request.run_dir = run_dir;
  request.name = std::to_string(number);
  request.state = state.description();
  request.run = test::sample_run(number);
  request.group = world;
  request.files = files;
  checkpoint::save(request);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    return 2;
  }
  const std::string run_dir = argv[1];
  const int victim = std::stoi(argv[2]);
  const int last = std::stoi(argv[3]);
  const topology::Session session;
  const topology::Group& world = session.world();
  save_sample(run_dir, 1, world, {});
  int taken = 0;
  const io::FileSystem files([&](std::string_view /*step*/, const std::string& /*path*/) {
    if (taken++ == last && world.rank() == victim) {
      ::raise(SIGKILL);
    }
  });
  save_sample(run_dir, 2, world, files);
  std::printf("rank %d: %d steps\n", world.rank(), taken);
  return 0;
}
