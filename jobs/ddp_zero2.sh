#!/bin/bash
#SBATCH --job-name=tessera-ddp-zero2
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
# The same training with plain data parallelism and with ZeRO-2; see --help.
set -euo pipefail
script=ddp_zero2.sh
# sbatch runs a copy of this file, in the directory in which it was submitted.
[[ -n ${SLURM_JOB_ID:-} && -e jobs/experiment.sh ]] || cd "$(dirname "$0")/.."
# shellcheck source=jobs/experiment.sh
. jobs/experiment.sh

usage() {
  cat <<'TEXT'
usage: jobs/ddp_zero2.sh [--np N] [--output DIR] [--bin DIR] [-- FLAGS]

Trains twice, with configs/ddp.json and with configs/zero2.json, and holds the two logs against each other: settings, curves
and where they part, speed, memory; with a picture (curves.svg) and a page (report.html). Both do the same sums, so the curves
differ by rounding alone.

Example, on a machine without a GPU:
  jobs/ddp_zero2.sh --np 2 -- --model_config tiny --dataset fashion-mnist \
    --data_path /usr/share/datasets/fashion-mnist --input_size 28 --patch_size 7 --epochs 1 --warmup_epochs 0.1

TEXT
}

parse_experiment "$@"
leave_out --config --zero_stage --deepspeed --deepspeed_config
recipe

launch "$ranks" finetune "${flags[@]}" --config configs/ddp.json --output_dir "$output/ddp"
launch "$ranks" finetune "${flags[@]}" --config configs/zero2.json --output_dir "$output/zero2"
alone tessera compare "$output/ddp" "$output/zero2" --output "$output/curves.svg"
alone tessera report "$output/ddp" "$output/zero2" --output "$output/report.html"
