#!/bin/bash
# Builds everything and runs every test that this machine can; see --help.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
usage: jobs/test.sh [--no_lint] [CTEST_ARGUMENTS]

Installs what is missing, builds into build/, checks the style (clang-format, shellcheck), runs every test (GoogleTest, some
under mpirun with 1 to 4 ranks), then clang-tidy. Where nvcc is found, the CUDA code is compiled as well, even without a GPU
to run it; where there is a GPU too, the build uses it and the tests run on it. Tests that were skipped are listed by name,
with the reason.
CTEST_ARGUMENTS choose tests: jobs/test.sh --no_lint -R engine. Exit status 0: everything passed.
TEXT
}

lint=yes
while (($#)); do
  case $1 in
    --no_lint) lint=no ;;
    --help) usage && exit 0 ;;
    *) break ;;
  esac
  shift
done

started=$SECONDS
say() { printf '\n== %s (%d s)\n' "$*" $((SECONDS - started)); }

# The CUDA toolkit's own packages leave nvcc out of the path.
export PATH=$PATH:/usr/local/cuda/bin
# As root, in a container say, Open MPI wants to be told twice that this is meant.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

say "build"
jobs/setup.sh --tests

if [[ $lint == yes ]]; then
  say "style" # what takes seconds, before what takes long
  jobs/lint.sh format shell
fi

say "tests"
# Tests say how many processors they take (ranks); those of one run beside each other.
# A test that fails is given one more try, and named: Open MPI 4.1 has been seen to stand still, once in hours, in a process
# whose threads all communicate.
ctest --test-dir build --output-on-failure --no-tests=error --parallel "$(nproc)" --repeat until-pass:2 "$@" | tee build/ctest.log
if grep -q '\*\*\*' build/ctest.log; then
  say "passed at the second try alone"
  grep '\*\*\*' build/ctest.log
fi
log=build/Testing/Temporary/LastTest.log
# GoogleTest prints the reason in the line before.
skipped=$(awk '/^\[  SKIPPED \] .* \(/ { print "  " $4 ": " reason } { reason = $0 }' "$log" | sort -u)
if [[ -n $skipped ]]; then
  say "skipped"
  printf '%s\n' "$skipped"
fi

if command -v nvcc >/dev/null && ! grep -q '^TESSERA_CUDA:BOOL=ON' build/CMakeCache.txt; then
  say "CUDA code, compiled alone"
  jobs/setup.sh --compile_cuda --build_dir build-cuda
elif ! command -v nvcc >/dev/null; then
  say "nvcc is not here: the CUDA code is not compiled"
fi

if [[ $lint == yes ]]; then
  say "clang-tidy"
  jobs/lint.sh tidy
fi
say "everything passed"
