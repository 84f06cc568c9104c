// One rank of a save that ends by SIGKILL: run by checkpoint_kill_test under mpirun.
//   checkpoint_kill_worker RUN_DIR RANK STEP plain|async    kills rank RANK before its step STEP (from 0) of the
//                                                          second save
// An async save happens in a thread while the ranks go on, as in training. With a STEP beyond the last, everything is
// saved and each rank prints "rank R: N steps".
#include "support/sample_state.hpp"
#include "tessera/checkpoint/async_saver.hpp"
#include "tessera/checkpoint/save.hpp"
#include "tessera/topology/session.hpp"

#include <array>
#include <csignal>
#include <cstdio>
#include <string>

namespace {

using namespace tessera;

void save_sample(const std::string& run_dir, int number, const topology::Group& world, const io::FileSystem& files,
                 bool beside) {
  checkpoint::SaveRequest request;
  request.run_dir = run_dir;
  request.name = std::to_string(number);
  request.run = test::sample_run(number);
  request.files = files;
  test::SampleState state(world.rank(), world.size(), {.salt = number});
  const auto write = [&](const state::StateDescription& what, const topology::Group& group) {
    request.state = what;
    request.group = group;
    checkpoint::save(request);
  };
  if (!beside) {
    write(state.description(), world);
    return;
  }
  checkpoint::AsyncSaver saver(world, state.description(), {});
  saver.start(state.description(), write);
  saver.wait_for_snapshot();
  state.clear();
  for (std::array<double, 1> all_done{0}; all_done[0] == 0;) {
    all_done[0] = saver.is_done() ? 1 : 0;
    world.min(all_done);
  }
  saver.wait();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    return 2;
  }
  const std::string run_dir = argv[1];
  const int victim = std::stoi(argv[2]);
  const int last = std::stoi(argv[3]);
  const bool beside = std::string(argv[4]) == "async";
  const topology::Session session;
  const topology::Group& world = session.world();
  save_sample(run_dir, 1, world, {}, /*beside=*/false);
  int taken = 0;
  const io::FileSystem files([&](std::string_view /*step*/, const std::string& /*path*/) {
    if (taken++ == last && world.rank() == victim) {
      ::raise(SIGKILL);
    }
  });
  save_sample(run_dir, 2, world, files, beside);
  std::printf("rank %d: %d steps\n", world.rank(), taken);
  return 0;
}
