#!/bin/bash
# From a fresh clone to a trained, resumed, consolidated and evaluated model; see --help.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
usage: jobs/quickstart.sh [--np N]

Installs what is missing, builds, and on Fashion-MNIST (60,000 images, a Debian package):
  1. trains a tiny Qwen3 from scratch on N ranks (default 2; a divisor of 64) with ZeRO stage 2
  2. trains it again, stops half-way, and resumes on one rank
  3. consolidates the result to one .safetensors file, and evaluates that file
Results are in results/quickstart, which is made anew each time. On two cores it takes less than 15 minutes the first
time and less than 5 once built. Where there are a CUDA GPU and nvcc, it builds for and uses them.
TEXT
}

ranks=2
while (($#)); do
  case $1 in
    --np) ranks=$2 && shift ;;
    --help) usage && exit 0 ;;
    *) echo "jobs/quickstart.sh: unknown option $1; see --help" >&2 && exit 2 ;;
  esac
  shift
done

((ranks > 0 && 64 % ranks == 0)) || { echo "jobs/quickstart.sh: --np $ranks does not divide the 64 images of a step" >&2; exit 2; }

jobs/setup.sh
out=results/quickstart
data=/usr/share/datasets/fashion-mnist
bin=build/bin
rm -rf "$out"
mkdir -p "$out"

# As root, in a container say, Open MPI wants to be told twice that this is meant.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
images_per_step=64 epochs=6
half_way=2800  # of 5622 steps, in the middle of an epoch
train() { # train RANKS OUTPUT_DIR FLAGS...
  local np=$1 dir=$2 launcher=(mpirun --oversubscribe -np "$1")
  shift 2
  # A lone process needs no launcher, which would bind it to one core.
  ((np > 1)) || launcher=()
  "${launcher[@]}" "$bin/tessera" finetune --model_config tiny --random_init \
    --dataset fashion-mnist --data_path "$data" --input_size 28 --patch_size 7 \
    --config configs/quickstart.json --batch_size $((images_per_step / np)) --num_workers 1 \
    --epochs $epochs --warmup_epochs 0.4 --blr 1.2e-2 --smoothing 0 --seed 1 --output_dir "$dir" "$@"
}
last() { # last FILE KEY: the number after "KEY" in the last line of FILE
  tail -n 1 "$1" | grep -o "\"$2\":[^,}]*" | cut -d: -f2
}
step() { printf '\n== %s\n' "$*" >&2; }

step "1. $ranks ranks, ZeRO-2, $epochs epochs"
train "$ranks" "$out"

step "2. again, stopped half-way, after $half_way steps"
train "$ranks" "$out/resumed" --max_steps "$half_way"
step "   resumed on one rank"
train 1 "$out/resumed" --resume auto

step "3. one file"
"$bin/tessera-ckpt" consolidate "$out/resumed/checkpoint-final" --output "$out/model.safetensors"
"$bin/tessera" eval --checkpoint "$out/model.safetensors" --dataset fashion-mnist --data_path "$data" \
  >"$out/eval.json"

whole=$(last "$out/log.txt" test_acc1)
resumed=$(last "$out/resumed/log.txt" test_acc1)
evaluated=$(last "$out/eval.json" test_acc1)
cat <<TEXT

test accuracy, percent
  in one go, on $ranks ranks                   $whole
  stopped half-way, resumed on 1 rank     $resumed
  model.safetensors, evaluated            $evaluated

where everything is
  $out/log.txt, steps.jsonl, args.json    what happened, by epoch and by step
  $out/checkpoint-final/                  parallel HDF5: h5ls -r $out/checkpoint-final/state.h5
  $out/model.safetensors, config.json     the trained weights in one file, and the backbone's configuration
what to try next
  $bin/tessera finetune --help
  $bin/tessera plan --model_config qwen3-8b --dataset cifar100 --batch_size 32 --zero_stage 2 --world_size 4 --gpu_memory 80GiB
  $bin/tessera-ckpt inspect $out/checkpoint-final
  README.md, for real use: one node, Slurm, configuration, checkpoints
TEXT
awk -v whole="$whole" -v resumed="$resumed" -v evaluated="$evaluated" 'BEGIN {
  if (whole < 80) { print "FAILED: less than 80 percent"; exit 1 }
  if (resumed - evaluated > 0.005 || evaluated - resumed > 0.005) { print "FAILED: the file does not give the accuracy of the run"; exit 1 }
}'
