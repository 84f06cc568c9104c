#!/bin/bash
# Fuzzes the readers of files from outside, with libFuzzer and the address and undefined-behaviour sanitizers.
#   tests/fuzz/run.sh [SECONDS_EACH=60] [NAME...]
# Needs clang. What it finds is left in build-fuzz/; the corpus is tests/data/fuzz, which the unit tests read too.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [[ "${1:-}" == --help ]]; then
  sed -n '2,5s/^# //p' "$0"
  exit 0
fi
seconds=${1:-60}
cmake -S . -B build-fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DTESSERA_TOOLS_ONLY=ON \
  -DTESSERA_FUZZ=ON -DTESSERA_SANITIZE="fuzzer-no-link;address;undefined" >/dev/null
# libhdf5 1.10 loses a few bytes of its own where a file is refused half way; the readers' own leaks still count.
mkdir -p build-fuzz && echo "leak:libhdf5" >build-fuzz/leaks.txt
# And it asks for as many bytes as a damaged file says: a system that refuses is answered with an error, which counts.
export ASAN_OPTIONS=allocator_may_return_null=1
export LSAN_OPTIONS=suppressions=$PWD/build-fuzz/leaks.txt:print_suppressions=0
names=("${@:2}")
((${#names[@]})) || names=(safetensors manifest pickle torch_file hdf5 deepspeed)
ninja -C build-fuzz -j2 "${names[@]/#/fuzz_}"
for name in "${names[@]}"; do
  mkdir -p "build-fuzz/corpus/$name"
  echo "fuzzing $name for $seconds seconds"
  (cd build-fuzz && "bin/fuzz_$name" -max_total_time="$seconds" -timeout=10 -malloc_limit_mb=1000000000 -print_final_stats=1 \
    "corpus/$name" "../tests/data/fuzz/$name")
done
