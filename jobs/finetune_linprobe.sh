#!/bin/bash
#SBATCH --job-name=tessera-probe
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
# Fine-tunes, consolidates, and probes what was learnt; see --help.
set -euo pipefail
script=finetune_linprobe.sh
# sbatch runs a copy of this file, in the directory in which it was submitted.
[[ -n ${SLURM_JOB_ID:-} && -e jobs/experiment.sh ]] || cd "$(dirname "$0")/.."
# shellcheck source=jobs/experiment.sh
. jobs/experiment.sh

usage() {
  cat <<'TEXT'
usage: jobs/finetune_linprobe.sh [--np N] [--output DIR] [--bin DIR] [--probe_epochs N] [--probe_batch_size N] [-- FLAGS]

Fine-tunes with ZeRO-2, consolidates the last checkpoint to one .safetensors file, and trains a linear probe on the frozen
features of that file by MAE's recipe (configs/zero2_linprobe.json; 90 epochs of 128 images a rank, unless told otherwise).

Example, on a machine without a GPU:
  jobs/finetune_linprobe.sh --np 2 --probe_epochs 2 -- --model_config tiny --dataset fashion-mnist \
    --data_path /usr/share/datasets/fashion-mnist --input_size 28 --patch_size 7 --epochs 1 --warmup_epochs 0.1

TEXT
}

own=([probe_epochs]=90 [probe_batch_size]=128)
parse_experiment "$@"
recipe
default_flags --config configs/zero2.json

launch "$ranks" finetune "${flags[@]}" --output_dir "$output/finetune"
alone tessera-ckpt consolidate "$output/finetune/checkpoint-final" --output "$output/model.safetensors"

# The probe runs where the fine-tuning ran, on the same data. MAE warms up for 10 of 90 epochs.
probe_flags=(--epochs "${own[probe_epochs]}" --warmup_epochs $((own[probe_epochs] / 9)) --batch_size "${own[probe_batch_size]}")
for flag in --data_path --device --dtype --collectives --num_workers --seed; do
  ! has_flag $flag || probe_flags+=("$flag" "$(flag_value $flag)")
done
launch "$ranks" linprobe --config configs/zero2_linprobe.json --finetune_checkpoint "$output/model.safetensors" \
  "${probe_flags[@]}" --output_dir "$output/probe"

cat <<TEXT

test accuracy, percent
  fine-tuned              $(last "$output/finetune/log.txt" test_acc1)
  linear probe of it      $(last "$output/probe/log.txt" test_acc1)
where everything is
  $output/finetune/  $output/model.safetensors  $output/probe/final_results.json
TEXT
