#!/bin/bash
#SBATCH --job-name=tessera-pretrained
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
# What pretraining is worth: the language model's weights against random ones; see --help.
set -euo pipefail
script=pretrained_random.sh
# sbatch runs a copy of this file, in the directory in which it was submitted.
[[ -n ${SLURM_JOB_ID:-} && -e jobs/experiment.sh ]] || cd "$(dirname "$0")/.."
# shellcheck source=jobs/experiment.sh
. jobs/experiment.sh

usage() {
  cat <<'TEXT'
usage: jobs/pretrained_random.sh [--np N] [--output DIR] [--bin DIR] -- --pretrained_model_path DIR [FLAGS]

Fine-tunes the model in DIR (Hugging Face's layout: config.json and .safetensors) twice with ZeRO-2, from its weights and from
random ones, and holds the two logs against each other, as jobs/ddp_zero2.sh does.

Example:
  jobs/pretrained_random.sh --np 4 -- --pretrained_model_path Qwen3-0.6B --gradient_checkpointing

TEXT
}

parse_experiment "$@"
has_flag --pretrained_model_path || refuse "-- --pretrained_model_path DIR is missing, with config.json and .safetensors in DIR"
leave_out --load_pretrained --random_init
recipe
default_flags --config configs/zero2.json

launch "$ranks" finetune "${flags[@]}" --load_pretrained --output_dir "$output/pretrained"
launch "$ranks" finetune "${flags[@]}" --random_init --output_dir "$output/random"
alone tessera compare "$output/pretrained" "$output/random" --output "$output/curves.svg"
alone tessera report "$output/pretrained" "$output/random" --output "$output/report.html"
