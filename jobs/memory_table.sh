#!/bin/bash
#SBATCH --job-name=tessera-memory-table
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
# What ZeRO-2, offload and recomputation save, and what they cost; see --help.
set -euo pipefail
script=memory_table.sh
# sbatch runs a copy of this file, in the directory in which it was submitted.
[[ -n ${SLURM_JOB_ID:-} && -e jobs/experiment.sh ]] || cd "$(dirname "$0")/.."
# shellcheck source=jobs/experiment.sh
. jobs/experiment.sh

usage() {
  cat <<'TEXT'
usage: jobs/memory_table.sh [--np N] [--steps N] [--output DIR] [--bin DIR] [-- FLAGS]

Makes a table of five rows, for one model and batch: plain data parallelism; ZeRO-2; ZeRO-2 with offload; with recomputation of
every block; with both. Columns: memory of a rank's GPU and of the host for it, the largest batch that fits, and throughput
relative to the first row that was run.

A row is run for a few steps on random images (step_bench, 5 steps to warm up and --steps N that count, default 10) where this
machine has a GPU for each rank and the plan says that it fits. What was not run has the plan's figures, marked (plan); the
largest batch and the host's memory are the plan's, always. With --device cpu among the FLAGS the rows without offload are run
on the CPU, from which there is nothing to offload. The table is printed, and kept with every run's figures in --output DIR.
--gpu_memory 80GiB among the FLAGS is the memory of a GPU; not given, it is what nvidia-smi says is free on this machine's.

Examples:
  jobs/memory_table.sh --np 4 -- --model_config qwen3-8b --batch_size 8 --accum_iter 4
  jobs/memory_table.sh --np 8 -- --model_config qwen3-32b --batch_size 8 --gpu_memory 80GiB   # without a GPU: all by the plan

TEXT
}

own=([steps]='')
parse_experiment "$@"
leave_out --config --zero_stage --deepspeed --deepspeed_config --offload_optimizer --offload_ratio --offload_gradients --gradient_checkpointing \
  --max_steps --world_size --output_dir
[[ -x $bin/step_bench || -n ${TESSERA_CONTAINER:-} ]] || refuse "$bin/step_bench is not there: build with jobs/setup.sh --tests"
recipe
gpus=$(nvidia-smi -L 2>/dev/null | wc -l) || gpus=0
if ! has_flag --gpu_memory; then
  ((gpus > 0)) || refuse "no GPU is here whose memory could be asked: say --gpu_memory 80GiB among the FLAGS"
  flags+=(--gpu_memory "$(nvidia-smi --query-gpu=memory.free --format=csv,noheader,nounits | head -n 1)MiB")
fi
[[ $(flag_value --device) == cpu ]] && on_cpu=1 || on_cpu=''

names=(ddp zero2 offload recompute offload_recompute)
declare -A titles=([ddp]='data parallel' [zero2]='ZeRO-2' [offload]='ZeRO-2, offload' [recompute]='ZeRO-2, recompute'
  [offload_recompute]='ZeRO-2, offload, recompute')
declare -A settings=([ddp]='--config configs/ddp.json' [zero2]='--config configs/zero2.json'
  [offload]='--config configs/zero2_offload.json' [recompute]='--config configs/zero2.json --gradient_checkpointing block'
  [offload_recompute]='--config configs/zero2_offload.json --gradient_checkpointing block')

number() { # number FILE KEY: of the first line with "KEY" in it
  grep -m 1 -o "\"$2\": [0-9.e+]*" "$1" | cut -d' ' -f2
}

gib() { # gib BYTES: the same in GiB
  awk -v bytes="$1" 'BEGIN { printf "%.1f", bytes / 1024 ^ 3 }'
}

can_run() { # can_run NAME: whether a row can be run here
  [[ $(grep -o '"fits": [a-z]*' "$output/$1.plan.json") == '"fits": true' ]] || return 1
  if [[ -n $on_cpu ]]; then
    [[ $1 != *offload* ]]
  else
    ((gpus >= ranks)) || { in_slurm && ((gpus > 0)); }
  fi
}

mkdir -p "$output"
given=("${flags[@]}")
for name in "${names[@]}"; do
  flags=("${given[@]}")
  # Of a GPU: on a CPU there is nothing to offload from.
  [[ $name != *offload* ]] || drop_flag --device
  read -ra setting <<<"${settings[$name]}"
  alone tessera plan "${flags[@]}" "${setting[@]}" --world_size "$ranks" --json >"$output/$name.plan.json"
done
flags=("${given[@]}")

launched=step_bench notes='' first=''
row() { # row NAME: a line of the table; runs it where that can be
  local name=$1 plan=$output/$1.plan.json run=$output/$1.run.json setting memory='' rate='' relative=''
  read -ra setting <<<"${settings[$name]}"
  if can_run "$name"; then
    if launch "$ranks" "${flags[@]}" "${setting[@]}" --max_steps "${own[steps]:-10}" >"$run" 2>"$output/$name.log"; then
      memory=$(gib "$(number "$run" peak_bytes)")
      rate=$(number "$run" images_per_s)
      first=${first:-$rate}
      relative=$(awk -v rate="$rate" -v first="$first" 'BEGIN { printf "%.2f", rate / first }')
      rate=$(awk -v rate="$rate" 'BEGIN { printf "%.1f", rate }')
    else
      notes+="${titles[$name]} was begun and failed: $(grep -v '^$' "$output/$name.log" | tail -n 1) ($output/$name.log)"$'\n'
    fi
  fi
  printf '| %s | %s | %s | %s | %s | %s |\n' "${titles[$name]}" "${memory:-$(gib "$(number "$plan" total_bytes)") (plan)}" \
    "$(gib "$(number "$plan" host_bytes)") (plan)" "$(number "$plan" largest_batch) (plan)" "${rate:--}" "${relative:--}"
}

where=GPU
[[ -z $on_cpu ]] || where='CPU (with offload: GPU)'
cat >"$output/memory_table.md" <<TEXT
| | $where memory of a rank, GiB | host memory besides, GiB | largest batch of a rank | images/s | of the first |
|---|---|---|---|---|---|
TEXT
for name in "${names[@]}"; do
  row "$name" >>"$output/memory_table.md"
done
cat "$output/memory_table.md"
printf '%s' "$notes" >&2
