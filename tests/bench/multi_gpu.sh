#!/bin/bash
# What only several GPUs can show, as one table; see --help.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: tests/bench/multi_gpu.sh [--bin DIR] [--data DIR] [--log DIR] [--gpus N] [--model NAME] [--second DIR] SECTION...

On one host with 2 GPUs or more, through NCCL. Each SECTION adds rows to DIR/table.txt of --log, and leaves its logs there:
  tests      collectives_test and engine_test on 2, 4, ... GPUs
  equal      losses of one run on 1, 2, 4 GPUs at stages 0, 1 and 2; saved on 2 and resumed on 1 and on all
  run        qwen3-8b on 2 GPUs, batch 32, ZeRO-2: 200 steps, checkpoint, resume, verify, consolidate; memory against the plan
  scaling    step_bench of qwen3-4b, batch 32, on 1, 2, 4 GPUs, with the time of NCCL that nothing hides
  speed      step_bench of qwen3-8b beside pytorch_fsdp2.py --compile: batch 32, on 4 GPUs 64 too; a trace of ours
  ddp        memory of stage 0 and stage 2
  links      `tessera topology`: rates of NCCL's collectives; qwen3-4b, batch 32, with NCCL on at most 4 to 32 SMs
  faults     a rank killed in a step and in a save, one that hangs, and one whose GPU fails: until when the run has ended, and
             whether it goes on
  offload    qwen3-4b, batch 32, accumulation 4: with and without --offload_optimizer cpu, and with 8-bit moments
--bin        the programs [build/bin]; --data: CIFAR-100's binary files [data/cifar-100-binary]; --log [multi_gpu];
--gpus       of this host to use [all]; --model: the sections run, speed and offload take this one in place of theirs
--second     where section run writes its second checkpoint (91 GiB, as the first) [in a temporary directory, by the first]
TEXT
}

here=$(dirname "$(readlink -f "$0")")
bin=build/bin data=data/cifar-100-binary log=multi_gpu gpus='' model='' second=''
sections=()
while (($#)); do
  case $1 in
    --help) usage && exit 0 ;;
    --bin | --data | --log | --gpus | --model | --second) declare "${1#--}=$2" && shift ;;
    tests | equal | run | scaling | speed | ddp | links | faults | offload) sections+=("$1") ;;
    *) echo "multi_gpu.sh: unknown argument $1; see --help" >&2 && exit 2 ;;
  esac
  shift
done
((${#sections[@]})) || { usage >&2; exit 2; }
gpus=${gpus:-$(nvidia-smi -L | wc -l)}
((gpus >= 2)) || { echo "multi_gpu.sh: this host has $gpus GPU; 2 are needed" >&2; exit 2; }
mkdir -p "$log"
table=$log/table.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '%s\n' "$*" | tee -a "$table"; }
ranks() { mpirun -np "$1" --bind-to none "${@:2}"; }
# injected N RANK LIBRARY COMMAND...: COMMAND on N ranks, with a library of $bin that CUDA loads in one of them.
injected() {
  # shellcheck disable=SC2016
  ranks "$1" bash -c '[[ $OMPI_COMM_WORLD_RANK == "$1" ]] && export CUDA_INJECTION64_PATH=$2; exec "${@:3}"' \
    injected "$2" "$(readlink -f "$bin")/$3" "${@:4}"
}
counts() { for n in 1 2 4 8; do ((n <= gpus && n >= $1)) && echo "$n"; done; true; }
# A field of a JSON object on stdin, by Python's subscripts.
field() { python3 -c "import json, sys; d = json.load(sys.stdin); print($1)"; }
# Column KEY of a run's steps.jsonl.
column() { python3 -c 'import json, sys
for line in open(sys.argv[1]): print(json.loads(line)[sys.argv[2]])' "$1/steps.jsonl" "$2"; }
# Largest relative difference of two runs' losses, over the last STEPS that both have.
apart() {
  paste <(column "$1" loss | tail -n "$3") <(column "$2" loss | tail -n "$3") |
    awk '{d = ($1 - $2) / $1; d = d < 0 ? -d : d; if (d > m) m = d} END {printf "%.1e over %d steps", m, NR}'
}

tests() {
  for n in $(counts 2); do
    for test in collectives_test engine_test; do
      if ranks "$n" "$bin/$test" >"$log/$test-$n.txt" 2>&1; then result=passed; else result=FAILED; fi
      say "tests: $test on $n GPUs: $result, $(grep -ac '       OK' "$log/$test-$n.txt" || true) times OK"
    done
  done
}

# small_run OUT RANKS FLAGS: 128 images a step, in fp32.
small_run() {
  ranks "$2" "$bin/tessera" finetune --model_config tiny --random_init --dataset cifar100 --data_path "$data" --dtype fp32 \
    --input_size 64 --epochs 8 --warmup_epochs 0.1 --lr 1e-3 --clip_grad 1 --save_every_epochs 0 --max_steps 30 \
    --batch_size $((128 / $2)) --output_dir "$work/$1" "${@:3}" >"$log/equal-$1.txt" 2>&1
}
equal() {
  small_run one 1 --zero_stage 2
  for n in $(counts 2); do
    for stage in 0 1 2; do
      small_run "n$n-s$stage" "$n" --zero_stage "$stage" --save_every_steps 15
      say "equal: losses of $n GPUs, stage $stage, and of 1 GPU differ by $(apart "$work/one" "$work/n$n-s$stage" 30)"
    done
  done
  for n in 1 "$gpus"; do
    mkdir -p "$work/r$n" && cp -r "$work/n2-s2/checkpoint-step-15" "$work/r$n/"
    small_run "r$n" "$n" --zero_stage 2 --resume auto
    say "equal: saved on 2 GPUs, resumed on $n, and 1 GPU all the way differ by $(apart "$work/one" "$work/r$n" 15)"
  done
}

gib() { awk -v b="$1" 'BEGIN {printf "%.2f", b / 2^30}'; }
config=$here/../../configs/zero2.json

run() {
  local name=${model:-qwen3-8b} out=$work/run again=${second:-$work}/run-again
  local flags=(--config "$config" --model_config "$name" --random_init --dataset cifar100 --data_path "$data" --batch_size 32
    --epochs 40 --warmup_epochs 0.1 --lr 1e-4 --clip_grad 1 --save_every_epochs 0 --save_every_steps 1000)
  train() { # train STEPS OUT FLAGS
    SECONDS=0
    ranks 2 "$bin/tessera" finetune "${flags[@]}" --max_steps "$1" --output_dir "${@:2}" >"$log/run-$1.txt" 2>&1
    say "run: $name on 2 GPUs to step $1 in $SECONDS s: $(grep -h 'tok/s' "$log/run-$1.txt" | tail -n 1)"
  }
  train 200 "$out"
  say "run: checkpoint of $(du -sBG "$out/checkpoint-step-200" | cut -f 1); peak $(gib "$(tail -n 1 "$out/log.txt" | field 'd["peak_bytes"]')") GiB"
  grep -h 'GiB' "$log/run-200.txt" | head -n 3 | tee -a "$table" || true
  train 220 "$again" --resume "$out/checkpoint-step-200"
  SECONDS=0
  "$bin/tessera-ckpt" verify "$again/checkpoint-step-220" >"$log/run-verify.txt" 2>&1 && say "run: verified in $SECONDS s"
  rm -rf "$out"
  SECONDS=0
  "$bin/tessera-ckpt" consolidate "$again/checkpoint-step-220" --output "$work/run.safetensors" >"$log/run-consolidate.txt" 2>&1
  say "run: consolidated to $(du -BG "$work/run.safetensors" | cut -f 1) in $SECONDS s"
  rm -rf "$again" "$work/run.safetensors"
}

# bench LABEL RANKS FLAGS: one row of step_bench. Sets ms to its step's milliseconds; empty where it failed.
ms=''
bench() {
  local json
  ms=''
  json=$(ranks "$2" "$bin/step_bench" --dataset cifar100 --clip_grad 1 --max_steps "${steps:-20}" "${@:3}" 2>"$log/bench.err") ||
    { say "$1: FAILED: $(tail -n 2 "$log/bench.err")"; return 0; }
  say "$1: $(field '"%.1f ms, %.0f tokens/s a GPU, MFU %.1f %%, peak %.2f GiB, planned %.2f" % (d["step_ms"],
    d["tokens_per_s"] / d["world"], 100 * d["mfu"], d["peak_bytes"] / 2**30, d["planned_bytes"] / 2**30)' <<<"$json")"
  echo "$json" >>"$log/bench.json"
  ms=$(field '"%.1f" % d["step_ms"]' <<<"$json")
}
# peer LABEL RANKS FLAGS: the same of pytorch_fsdp2.py.
peer() {
  local json
  json=$(python3 -m torch.distributed.run --nproc_per_node "$2" "$here/pytorch_fsdp2.py" "${@:3}" 2>"$log/peer.err" | grep '^{') ||
    { say "$1: FAILED: $(grep -h Error "$log/peer.err" | tail -n 1)"; return 0; }
  say "$1: $(field '"%.1f ms, %.0f tokens/s a GPU, peak %.2f GiB" % (d["step_ms"], d["tokens_per_s"] / d["world"],
    d["peak_bytes"] / 2**30)' <<<"$json")"
}

# trace LABEL RANKS MS FLAGS: rank 0 of a step_bench by kernels, for a step that takes MS without it; what NCCL adds to it, and
# where the rest goes, in $log/trace-RANKS-LABEL.txt.
trace() {
  [[ -n $3 ]] || return 0
  local out=$log/trace-$2-$1.txt
  KERNEL_TRACE_STEPS=10 KERNEL_TRACE_STEP_MS=$3 injected "$2" 0 libkernel_trace.so "$bin/step_bench" --dataset cifar100 --clip_grad 1 \
    --max_steps 20 --config "$config" "${@:4}" >"$log/trace.json" 2>"$out" || true
  say "trace: $1 on $2 GPUs, of a step of $3 ms, in ms: $(grep -h 'alone\|idle' "$out" | awk '{printf "%s %s %s; ", $4, $5, $1}')NCCL's kernels $(
    awk '/ncclDevKernel/ {sum += $1} END {print sum}' "$out")"
}

scaling() {
  for n in $(counts 1); do
    bench "scaling: qwen3-4b, 32, $n GPUs" "$n" --config "$config" --model_config qwen3-4b --batch_size 32
  done
  trace qwen3-4b "$gpus" "$ms" --model_config qwen3-4b --batch_size 32
}

speed() {
  local name=${model:-qwen3-8b}
  local rows=("$gpus 32")
  ((gpus < 4)) || rows+=("$gpus 64")
  for row in "${rows[@]}"; do
    read -r n batch <<<"$row"
    bench "speed: $name, $batch, $n GPUs, Tessera" "$n" --config "$config" --model_config "$name" --batch_size "$batch"
    ((batch != 32)) || trace "$name" "$n" "$ms" --model_config "$name" --batch_size "$batch"
    peer "speed: $name, $batch, $n GPUs, FSDP2 compiled" "$n" --model_config "$name" --batch_size "$batch" --compile
  done
}

ddp() {
  for stage in 0 2; do
    bench "ddp: qwen3-4b, 8, $gpus GPUs, stage $stage" "$gpus" --model_config qwen3-4b --batch_size 8 --zero_stage "$stage"
  done
}

links() {
  ranks "$gpus" "$bin/tessera" topology >"$log/topology.txt" 2>&1 || true
  grep -h 'NCCL\|reduce\|gather' "$log/topology.txt" | tee -a "$table"
  for ctas in 4 8 16 32; do
    NCCL_MAX_CTAS=$ctas bench "links: qwen3-4b, 32, $gpus GPUs, NCCL on at most $ctas SMs" "$gpus" --config "$config" \
      --model_config qwen3-4b --batch_size 32
  done
}

# kill_run STEPS: qwen3-0.6b on 2 GPUs, from where it is. A hang is to be noticed after 20 s; rank 1's GPU fails once $work/fail
# is there.
kill_run() {
  GPU_FAULT_FILE=$work/fail injected 2 1 libgpu_fault.so "$bin/tessera" finetune --model_config qwen3-0.6b --random_init \
    --dataset cifar100 --data_path "$data" \
    --batch_size 32 --zero_stage 2 --epochs 8 --warmup_epochs 0.1 --lr 1e-4 --clip_grad 1 --save_every_epochs 0 \
    --save_every_steps 20 --keep_last 2 --collective_timeout 20 --output_dir "$work/kill" --resume auto --max_steps "$1" \
    >>"$log/kill.txt" 2>&1
}
# strike STEPS step|save KILL|STOP|GPU: a rank gets the signal, or its GPU fails, once the log has so many steps and, for save,
# while a checkpoint is written.
strike() {
  local out=$work/kill run_id died
  kill_run 400 &
  run_id=$!
  until [[ -f $out/steps.jsonl ]] && (($(wc -l <"$out/steps.jsonl") >= $1)); do sleep 0.02; done
  until [[ $2 == step ]] || compgen -G "$out/.tmp-checkpoint-*" >/dev/null; do sleep 0.005; done
  if [[ $3 == GPU ]]; then touch "$work/fail"; else builtin kill "-$3" "$(pgrep -f "tessera finetune.*$work/kill" | tail -n 1)"; fi
  died=$(date +%s.%N)
  local ended=0
  wait "$run_id" || ended=1
  rm -f "$work/fail"
  ((ended)) || { say "faults: $3 in a $2: the run went on"; return; }
  say "faults: $3 in a $2: ended $(awk -v a="$died" -v b="$(date +%s.%N)" 'BEGIN {printf "%.1f", b - a}') s later, $(
    pgrep -cf "tessera finetune.*$work/kill" || true) processes left"
}
faults() {
  strike 30 step KILL
  strike 70 save KILL
  strike 110 step STOP
  strike 130 step GPU
  grep -a 'gpu_fault\|^error' "$log/kill.txt" | tail -n 4 | tee -a "$table"
  kill_run 160
  say "faults: resumed; the log's last step is $(column "$work/kill" step | tail -n 1), of $(wc -l <"$work/kill/steps.jsonl")"
}

offload() {
  local name=${model:-qwen3-4b}
  for flags in none cpu 'cpu --optimizer_state_dtype 8bit'; do
    # shellcheck disable=SC2086
    steps=8 bench "offload: $name, 32, accumulation 4, 2 GPUs, $flags" 2 --model_config "$name" --zero_stage 2 --batch_size 32 --accum_iter 4 \
      --offload_optimizer $flags
  done
}

say "# $gpus GPUs: $(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1), $(date +%F)"
for section in "${sections[@]}"; do
  $section
done
