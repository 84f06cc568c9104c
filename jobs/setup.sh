#!/bin/bash
# Installs what is missing and builds; see --help. jobs/quickstart.sh and jobs/test.sh begin with it.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
usage: jobs/setup.sh [--build_dir DIR] [--cuda auto|on|off] [--cuda_architectures LIST] [--tests] [--compile_cuda]
                     [--no_install]

  --build_dir DIR  where to build (default: build)
  --cuda           auto (the default): on where both a GPU and nvcc are found
  --cuda_architectures LIST  of the GPUs that it will run on, such as 80 or "80;90a", where they are not this machine's: on a
                   login node without a GPU, together with --cuda on (default: this machine's GPU, else 90a)
  --tests          build the tests and benchmarks too, and install what they and the lint need
  --compile_cuda   compile the modules that have CUDA code, and link nothing: nvcc is enough, no GPU is needed
  --no_install     install nothing: complain about what is missing

Installs Debian or Ubuntu packages (as root, or with sudo), and into deps/python the wheels of torch 2.11.0 (LibTorch),
with what the CPU path needs or, where CUDA is on, with everything. Set TESSERA_PYTHON_DIR to use a folder that holds
torch/ already. --tests also installs the Python programs that the tests let read our files (jobs/consumers.sh).
TEXT
}

build_dir=build cuda=auto architectures='' tests=OFF install=yes targets=()
while (($#)); do
  case $1 in
    --build_dir) build_dir=$2 && shift ;;
    --cuda) cuda=$2 && shift ;;
    --cuda_architectures) architectures=$2 && shift ;;
    --tests) tests=ON ;;
    --compile_cuda) targets=(tessera_topology tessera_comm tessera_kernels) ;;
    --no_install) install=no ;;
    --help) usage && exit 0 ;;
    *) echo "jobs/setup.sh: unknown option $1; see --help" >&2 && exit 2 ;;
  esac
  shift
done

# The CUDA toolkit's own packages leave nvcc out of the path.
export PATH=$PATH:/usr/local/cuda/bin
has() { command -v "$1" >/dev/null 2>&1; }
say() { echo "setup: $*" >&2; }

if ((${#targets[@]})); then
  cuda=on
elif [[ $cuda == auto ]]; then
  if has nvcc && has nvidia-smi && nvidia-smi -L >/dev/null 2>&1; then cuda=on; else cuda=off; fi
fi

packages=(g++ make ninja-build cmake git ca-certificates python3 python3-pip python3-venv openmpi-bin libopenmpi-dev libhwloc-dev libhdf5-openmpi-dev libhdf5-dev hdf5-tools
  libboost-program-options-dev libfmt-dev nlohmann-json3-dev libisal-dev zlib1g-dev libjpeg-dev libpng-dev ccache
  dataset-fashion-mnist)
if [[ $tests == ON ]]; then
  packages+=(libgtest-dev libgmock-dev clang-format-14 shellcheck)
  # For a Slurm cluster within a test (tests/slurm/cluster.sh). Without a slurm.conf in /etc no other is started.
  packages+=(slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge libpmix2 iproute2)
  # Opens the page of `tessera report`. Ubuntu has it as a snap alone: there that test is skipped.
  grep -q '^ID=debian$' /etc/os-release && packages+=(chromium)
fi

install_packages() {
  local missing=()
  for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  if [[ $install == no ]]; then
    say "these packages are missing: ${missing[*]}"
    return 1
  fi
  local as_root=()
  if ((EUID != 0)); then
    has sudo || { say "run as root or install sudo; missing: ${missing[*]}"; return 1; }
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# The CPU library needs two small CUDA libraries besides itself; the GPU's need all that the wheel asks for.
install_wheels() {
  local wanted=(torch==2.11.0) mode=--no-deps stamp=deps/python/.cpu
  if [[ $cuda == on ]] && ((${#targets[@]} == 0)); then
    mode='' stamp=deps/python/.cuda
  else
    wanted+=(nvidia-cuda-cupti==13.0.85 nvidia-cuda-runtime==13.0.96)
  fi
  [[ -e $stamp || -e deps/python/.cuda ]] && return 0
  if [[ $install == no ]]; then
    say "LibTorch is missing in deps/python"
    return 1
  fi
  say "fetching LibTorch into deps/python"
  rm -rf deps/python
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore ${mode:+"$mode"} --target deps/python "${wanted[@]}"
  touch "$stamp"
}

# Debian 12's CMake does not know how nvcc 13 is told of C++20.
install_cmake() {
  cmake=cmake
  if [[ $cuda == on ]]; then
    cmake=$PWD/deps/cmake/bin/cmake
    [[ -x $cmake ]] && return 0
    say "fetching a newer CMake into deps/cmake"
    python3 -m venv deps/cmake
    deps/cmake/bin/pip install --quiet --disable-pip-version-check 'cmake>=3.30,<5'
  fi
}

# Code for the GPUs that were named, for the one that is here, or for Hopper where there is none.
cuda_architecture() {
  local capability
  [[ -z $architectures ]] || { echo "$architectures" && return; }
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d .) || true
  [[ -n $capability && $capability != 90 ]] && echo "$capability" || echo 90a
}

install_packages
[[ -n ${TESSERA_PYTHON_DIR:-} ]] || install_wheels
python_dir=${TESSERA_PYTHON_DIR:-$PWD/deps/python}
install_cmake

export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
mkdir -p "$build_dir"
# A build folder that has the tests keeps them.
[[ $tests == OFF && -e $build_dir/CMakeCache.txt ]] && tests=$(sed -n 's/^TESSERA_TESTS:BOOL=//p' "$build_dir/CMakeCache.txt")
"$cmake" -S . -B "$build_dir" -G Ninja -DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DTESSERA_TESTS="$tests" \
  -DTESSERA_BENCH="$tests" -DTESSERA_CUDA="$([[ $cuda == on ]] && echo ON || echo OFF)" -DCMAKE_CUDA_ARCHITECTURES="$(cuda_architecture)" \
  -DTESSERA_PYTHON_DIR="$python_dir" -DTESSERA_TEST_PYTHON="$([[ $tests == ON ]] && echo "$PWD/deps/consumers/python")" >"$build_dir/configure.log" 2>&1 ||
  { cat "$build_dir/configure.log" >&2; exit 1; }
# Installing is mostly waiting: it goes on beside the build.
consumers=
if [[ $tests == ON && $install == yes ]]; then
  jobs/consumers.sh "$python_dir" & consumers=$!
fi
say "building in $build_dir (CUDA $cuda)"
ninja -C "$build_dir" --quiet "${targets[@]}"
[[ -z $consumers ]] || wait "$consumers"
