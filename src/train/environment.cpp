#include "train/environment.hpp"

#include "tessera/checkpoint/save.hpp"
#include "tessera/comm/make_collectives.hpp"
#include "tessera/config/command_line.hpp"
#include "tessera/core/error.hpp"
#include "tessera/topology/cuda_versions.hpp"
#include "tessera/topology/session.hpp"

#include <ATen/Version.h>
#include <torch/headeronly/version.h>

#include <array>
#include <charconv>
#include <functional>
#include <sstream>

namespace tessera::train {
namespace {

using Numbers = std::array<int, 3>;

// The first numbers with dots between them: {4, 1, 4} of "Open MPI v4.1.4"; missing ones are 0.
Numbers numbers_in(const std::string& version) {
  Numbers numbers{};
  const char* next = version.data() + std::min(version.find_first_of("0123456789"), version.size());
  const char* const end = version.data() + version.size();
  for (int& number : numbers) {
    const auto [rest, status] = std::from_chars(next, end, number);
    if (status != std::errc() || rest == end || *rest != '.') {
      break;
    }
    next = rest + 1;
  }
  return numbers;
}

// What LibTorch's library says of itself among its build settings.
std::string torch_found() {
  const std::string mark = "TORCH_VERSION=";
  const std::string config = at::show_config();
  const std::size_t start = config.find(mark);
  if (start == std::string::npos) {
    return "";
  }
  const std::size_t begin = start + mark.size();
  return config.substr(begin, config.find_first_of(", \n", begin) - begin);
}

void add_unless(bool sound, std::vector<std::string>& problems, std::string words) {
  if (!sound) {
    problems.push_back(std::move(words));
  }
}

void check_libraries(const Environment& now, std::vector<std::string>& problems) {
  const Numbers mpi_then = numbers_in(now.mpi.compiled);
  const Numbers mpi_now = numbers_in(now.mpi.found);
  const auto maker = [](const std::string& mpi) { return mpi.substr(0, mpi.find_first_of("0123456789")); };
  add_unless(
      maker(now.mpi.compiled) == maker(now.mpi.found) && mpi_then[0] == mpi_now[0] && mpi_now >= mpi_then, problems,
      fmt::format("the program was compiled against {} and finds {}: load the module of the former, or build again "
                  "with the latter's mpicc in the path",
                  now.mpi.compiled, now.mpi.found));
  add_unless(now.hdf5_is_parallel, problems,
             fmt::format("HDF5 {} was built without MPI: put the parallel one (Debian: libhdf5-openmpi-103-1; a module "
                         "such as hdf5-parallel) first in LD_LIBRARY_PATH",
                         now.hdf5.found));
  // The library itself ends a program at the first file otherwise.
  add_unless(numbers_in(now.hdf5.compiled) == numbers_in(now.hdf5.found), problems,
             fmt::format("the program was compiled against HDF5 {} and finds {}: load that version, or build again",
                         now.hdf5.compiled, now.hdf5.found));
  add_unless(numbers_in(now.torch.compiled) == numbers_in(now.torch.found), problems,
             fmt::format("the program was compiled against LibTorch {} and finds {}: take its folder out of "
                         "LD_LIBRARY_PATH, or build again with TESSERA_PYTHON_DIR there",
                         now.torch.compiled, now.torch.found));
}

void check_gpu_libraries(const Environment& now, std::vector<std::string>& problems) {
  const Numbers runtime = numbers_in(now.cuda.found);
  const Numbers driver = numbers_in(now.driver_cuda);
  // Within one major version newer runtimes run on older drivers (CUDA's minor version compatibility).
  add_unless(driver[0] >= runtime[0], problems,
             fmt::format(
                 "the GPU's driver {} knows CUDA up to {}, and the program runs with CUDA {}: update the driver, build "
                 "with CUDA {}, or use --device cpu",
                 now.driver, now.driver_cuda, now.cuda.found, driver[0]));
  add_unless(
      numbers_in(now.cuda.compiled)[0] == runtime[0], problems,
      fmt::format("the program was compiled with CUDA {} and finds the runtime of {}: load that version, or build "
                  "again",
                  now.cuda.compiled, now.cuda.found));
  add_unless(
      numbers_in(now.nccl.found) >= numbers_in(now.nccl.compiled), problems,
      fmt::format("the program was compiled against NCCL {} and finds {}: put that version or a newer one first in "
                  "LD_LIBRARY_PATH",
                  now.nccl.compiled, now.nccl.found));
}

// What must be the same for all ranks, a line each. Drivers are the nodes' own.
std::string text_of(const Environment& environment) {
  std::string text;
  for (const auto& [name, version] : versions_of(environment)) {
    if (name != "driver") {
      text += fmt::format("{} {}\n", name, version);
    }
  }
  return text;
}

// The lines of a text that the other lacks: "mpi Open MPI v4.1.4, hdf5 1.10.8".
std::string lines_beyond(const std::string& text, const std::string& other) {
  std::string found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (("\n" + other).find("\n" + line + "\n") == std::string::npos) {
      found += (found.empty() ? "" : ", ") + line;
    }
  }
  return found;
}

// Alike on all ranks? Two numbers that every rank knows take the place of every rank's text.
bool same_everywhere(const topology::Group& world, const std::string& text) {
  constexpr std::size_t kExactInDouble = std::size_t{1} << 52U;
  const auto hash = static_cast<double>(std::hash<std::string>{}(text) % kExactInDouble);
  std::array<double, 2> range{hash, -hash};
  world.max(range);
  return range[0] == -range[1];
}

}  // namespace

Environment this_environment() {
  Environment now;
  now.tessera = {"tessera", std::string(config::version()), std::string(config::version())};
  now.mpi = {"mpi", topology::compiled_mpi_version(), topology::mpi_version()};
  now.hdf5 = {"hdf5", checkpoint::compiled_hdf5_version(), checkpoint::hdf5_version()};
  now.hdf5_is_parallel = checkpoint::hdf5_is_parallel();
  now.torch = {"torch", fmt::format("{}.{}.{}", TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR, TORCH_VERSION_PATCH),
               torch_found()};
  const topology::CudaVersions cuda = topology::cuda_versions();
  now.cuda = {"cuda", cuda.compiled, cuda.runtime};
  now.nccl = {"nccl", comm::compiled_nccl_version(), comm::nccl_version()};
  now.driver = cuda.driver;
  now.driver_cuda = cuda.driver_cuda;
  return now;
}

std::vector<std::string> environment_problems(const Environment& environment, bool uses_gpus) {
  std::vector<std::string> problems;
  check_libraries(environment, problems);
  if (uses_gpus && !environment.cuda.found.empty() && !environment.driver_cuda.empty()) {
    check_gpu_libraries(environment, problems);
  }
  return problems;
}

void require_sound_environment(const topology::Group& world, bool uses_gpus) {
  const Environment mine = this_environment();
  world.agree([&] {
    const std::vector<std::string> problems = environment_problems(mine, uses_gpus);
    core::require<core::UserError>(problems.empty(), "train", "{}", problems.empty() ? "" : problems.front());
  });
  require_same_environment(world, mine);
}

void require_same_environment(const topology::Group& world, const Environment& mine) {
  const std::string text = text_of(mine);
  if (same_everywhere(world, text)) {
    return;
  }
  const std::string first = world.broadcast(text, 0);
  world.agree([&] {
    core::require<core::UserError>(
        first == text, "train",
        "rank {} on {} runs with {}, rank 0 with {}: start every rank with the same program and modules", world.rank(),
        topology::host_name(), lines_beyond(text, first), lines_beyond(first, text));
  });
}

std::vector<std::pair<std::string, std::string>> versions_of(const Environment& environment) {
  std::vector<std::pair<std::string, std::string>> versions;
  for (const auto part : {&Environment::tessera, &Environment::mpi, &Environment::hdf5, &Environment::torch,
                          &Environment::cuda, &Environment::nccl}) {
    const Library& library = environment.*part;
    versions.emplace_back(library.name, library.found.empty() ? "none" : library.found);
    if (library.compiled != library.found) {
      versions.emplace_back(library.name + " (compiled)", library.compiled);
    }
  }
  versions.emplace_back("driver", environment.driver.empty() ? "none" : environment.driver);
  return versions;
}

}  // namespace tessera::train
