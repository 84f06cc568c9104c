#!/bin/bash
# Checks a job, and puts it into Slurm's queue; see --help.
set -euo pipefail
cd "$(dirname "$0")/.."
script=submit.sh
# shellcheck source=jobs/launch.sh
. jobs/launch.sh

usage() {
  cat <<'TEXT'
usage: jobs/submit.sh NAME [--nodes N] [--ntasks-per-node N] [--after JOB] [--lines FILE] [--gpu_memory BYTES] [--dry_run]
                           [--sbatch OPTION]... -- FLAGS

NAME is one of jobs/*.sbatch: single_node, multi_node, offload, short_limit, linprobe,
consolidate, sweep.
Before it queues, it sees whether the programs are built, what FLAGS name is there, the output can be written, the plan of
the run is sound (tessera plan; with --gpu_memory, that a rank fits), and Slurm would take the job. The job's number goes to
stdout.

  --nodes N            in place of what the .sbatch file says, as is
  --ntasks-per-node N  (ranks; with --sbatch --gpus-per-node=N as many GPUs)
  --after JOB          start when that job has ended well (for consolidate, linprobe); what it will leave need not be there yet
  --lines FILE         sweep: the file with a line of flags for each run
  --gpu_memory BYTES   refuse a run that does not fit, such as 80GiB
  --sbatch OPTION      any other option of sbatch, in one word: --sbatch --partition=gpu --sbatch --time=04:00:00
  --dry_run            check alone
  -- FLAGS             of the program: tessera finetune, linprobe, or tessera-ckpt consolidate

Example: a run on 4 nodes, and its weights in one file when it is through.
  run=$(jobs/submit.sh multi_node --nodes 4 --gpu_memory 80GiB -- --pretrained_model_path Qwen3-8B --load_pretrained \
    --data_path data/cifar-100-binary.tar.gz --output_dir results/run)
  jobs/submit.sh consolidate --after "$run" -- results/run/checkpoint-final --output results/run/model.safetensors
TEXT
}

parse() {
  (($#)) || refuse "which job? See --help"
  [[ $1 != --help ]] || { usage && exit 0; }
  name=${1%.sbatch} && shift
  while (($#)); do
    case $1 in
      --help) usage && exit 0 ;;
      --dry_run) dry_run=yes && shift && continue ;;
      --) shift && flags=("$@") && break ;;
      --*) (($# > 1)) || refuse "$1 needs a value; see --help" ;;
    esac
    case $1 in
      --nodes | --ntasks-per-node) require_count "$1" "$2" && options+=("$1=$2") ;;
      --after) after=$2 && options+=("--dependency=afterok:$2" --kill-on-invalid-dep=yes) ;;
      --lines) lines=$2 ;;
      --gpu_memory) gpu_memory=$2 ;;
      --sbatch) options+=("$2") ;;
      *) refuse "unknown option $1; flags of the program follow a --, see --help" ;;
    esac
    shift 2
  done
  job=jobs/$name.sbatch
  [[ -e $job ]] || refuse "there is no $job; there are: $(cd jobs && echo *.sbatch)"
}

# What sbatch will take: its command line before the file. Of --NAME N and --NAME=N the last.
option() {
  printf '%s\n' "${options[@]}" | sed -n "s/^$1=//p" | tail -n 1 | grep . || sed -n "s/^#SBATCH $1=//p" "$job" | tail -n 1
}

check_sweep() {
  [[ $name == sweep ]] || { [[ -z ${lines:-} ]] || refuse "--lines is for sweep"; return 0; }
  [[ -r ${lines:-} ]] || refuse "sweep needs --lines FILE, with a line of flags for each run${lines:+: $lines is not there}"
  num_runs=$(grep -vc '^ *\(#\|$\)' "$lines") || refuse "--lines $lines has no line of flags"
  [[ " ${options[*]}" == *" --array="* ]] || options+=("--array=1-$num_runs%4") # four at a time
}

# Later jobs read what earlier ones have yet to leave.
check_paths() {
  local flag path
  for flag in --data_path --config --deepspeed_config --pretrained_model_path --finetune_checkpoint; do
    path=$(flag_value "$flag")
    [[ -z $path || -e $path || (-n $after && $flag == --finetune_checkpoint) ]] || refuse "$flag $path is not there"
  done
  if [[ $name == consolidate ]]; then
    ((${#flags[@]})) || refuse "consolidate needs -- CHECKPOINT --output PATH"
    [[ -e ${flags[0]} || -n $after ]] || refuse "the checkpoint ${flags[0]} is not there, and no job is named with --after"
    check_writable --output "$(flag_value --output)"
  else
    check_writable --output_dir "$(flag_value --output_dir)"
  fi
}

# A file is made and removed again: read-only mounts and quotas show only so.
check_writable() {
  local path=$2 probe
  [[ -n $path ]] || refuse "-- $1 is missing"
  while [[ ! -e $path ]]; do path=$(dirname "$path"); done
  [[ -d $path ]] || path=$(dirname "$path")
  probe=$(mktemp "$path/.tessera-XXXXXX") || refuse "$1 $2 cannot be written, see above"
  rm "$probe"
}

# A probe's model is in its checkpoint: there its shape is not known to the plan.
check_plan() {
  local ranks run text
  [[ $name != consolidate && $name != linprobe ]] || return 0
  default_config "$(sed -n 's/^default_config //p' "$job")"
  ranks=$(($(option --nodes) * $(option --ntasks-per-node)))
  for ((run = 1; run <= num_runs; ++run)); do
    own_flags=()
    [[ -z ${lines:-} ]] || read -ra own_flags < <(grep -v '^ *\(#\|$\)' "$lines" | sed -n "${run}p")
    text=$(alone tessera plan --world_size "$ranks" ${gpu_memory:+--gpu_memory "$gpu_memory"} "${flags[@]}" "${own_flags[@]}") ||
      refuse "the plan is refused${lines:+ for line $run of $lines}: see above"
    printf 'plan for %s ranks%s\n%s\n' "$ranks" "${own_flags:+, ${own_flags[*]}}" "$text" >&2
    [[ $text != *"does not fit"* ]] || refuse "a rank does not fit $gpu_memory: the plan above says what would"
  done
}

dry_run=no after='' num_runs=1 options=()
parse "$@"
command -v sbatch >/dev/null || refuse "there is no sbatch here: submit on a login node of the cluster"
require_programs
check_sweep
check_paths
given=("${flags[@]}")
check_plan
[[ -z ${lines:-} ]] || given=("$lines" "${given[@]}")

# Partition, account, GPUs, limits: Slurm itself knows.
sbatch --test-only "${options[@]}" "$job" "${given[@]}" || refuse "Slurm would not take it, see above; jobs/$name.sbatch and --sbatch have what depends on the site"
[[ $dry_run == yes ]] || sbatch --parsable "${options[@]}" "$job" "${given[@]}"
