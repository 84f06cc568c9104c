#!/bin/bash
# Checks the style of everything in the project; see --help.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
usage: jobs/lint.sh [format|shell|tidy]... [-- CMAKE_ARGUMENTS]

  format   clang-format-14 over our C++ and CUDA files; repair with clang-format-14 -i FILE
  shell    shellcheck over every script (skipped, with a word, where it is not installed)
  tidy     clang-tidy over the programs' C++ sources, one on each core; what passed once is not read again until it, a
           header of ours that it includes, its compile command or .clang-tidy changes

Without a name, all three. Exit status 0 means clean. clang-tidy comes into deps/clang_tidy (a wheel: it reads LibTorch's
headers five times as fast as Debian's). It configures a build of its own in build-lint/, without precompiled headers (clang
cannot read gcc's); CMAKE_ARGUMENTS go there:
  jobs/lint.sh tidy -- -DTESSERA_CUDA=ON
TEXT
}

our_files() { git ls-files --cached --others --exclude-standard -- "$@"; }

check_format() {
  echo "clang-format"
  our_files '*.cpp' '*.hpp' '*.cu' '*.cuh' | xargs -r clang-format-14 --dry-run -Werror
}

check_shell() {
  if ! command -v shellcheck >/dev/null; then
    echo "shellcheck is not installed: skipped"
    return 0
  fi
  echo "shellcheck"
  our_files '*.sh' '*.sbatch' .ci/run | xargs -r shellcheck -x
}

# Reads one source, and leaves a stamp where there is nothing to report. For xargs: $1 is the key, $2 the source.
# shellcheck disable=SC2016  # the variables are the inner shell's
TIDY_ONE='
  # gcc has warnings that clang does not know: their names are no findings. And the wheel lacks omp.h: gcc has one.
  if report=$(deps/clang_tidy/bin/clang-tidy -p build-lint --quiet --extra-arg=-Wno-unknown-warning-option \
    --extra-arg=-idirafter"$(dirname "$(g++ -print-file-name=include/omp.h)")" "$2" 2>&1); then
    touch "build-lint/tidy/$1"
  else
    printf "%s\n" "$report" | grep -v "warnings generated\.$"
    echo "clang-tidy: $2 is not clean"
    exit 1
  fi'

install_tidy() {
  [[ -x deps/clang_tidy/bin/clang-tidy ]] && return 0
  echo "fetching clang-tidy into deps/clang_tidy"
  python3 -m venv deps/clang_tidy
  deps/clang_tidy/bin/pip install --quiet --disable-pip-version-check clang-tidy==23.1.4
}

check_tidy() {
  install_tidy || return 1
  cmake -S . -B build-lint -G Ninja -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON \
    ${TESSERA_PYTHON_DIR:+-DTESSERA_PYTHON_DIR="$TESSERA_PYTHON_DIR"} "$@" >/dev/null || return 1
  mkdir -p build-lint/tidy
  python3 jobs/tidy_keys.py build-lint >build-lint/tidy.all || return 1
  while read -r key source; do
    [[ -e build-lint/tidy/$key ]] || printf '%s %s\n' "$key" "$source"
  done <build-lint/tidy.all >build-lint/tidy.todo
  echo "clang-tidy: $(wc -l <build-lint/tidy.all) sources, $(wc -l <build-lint/tidy.todo) of them changed"
  xargs -r -P "$(nproc)" -L 1 bash -c "$TIDY_ONE" tidy <build-lint/tidy.todo
}

checks=()
while (($#)); do
  case $1 in
    format | shell | tidy) checks+=("$1") ;;
    --help) usage && exit 0 ;;
    --) shift && break ;;
    *) echo "jobs/lint.sh: '$1' is no check; see --help" >&2 && exit 2 ;;
  esac
  shift
done
((${#checks[@]})) || checks=(format shell tidy)

status=0
for check in "${checks[@]}"; do
  case $check in
    format) check_format || status=1 ;;
    shell) check_shell || status=1 ;;
    tidy) check_tidy "$@" || status=1 ;;
  esac
done
if ((status == 0)); then
  echo "lint: clean"
fi
exit $status
