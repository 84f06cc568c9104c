#!/bin/bash
#SBATCH --job-name=tessera-resume
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
# A run in one go, and the same run stopped half-way and resumed; see --help.
set -euo pipefail
script=resume.sh
# sbatch runs a copy of this file, in the directory in which it was submitted.
[[ -n ${SLURM_JOB_ID:-} && -e jobs/experiment.sh ]] || cd "$(dirname "$0")/.."
# shellcheck source=jobs/experiment.sh
. jobs/experiment.sh

usage() {
  cat <<'TEXT'
usage: jobs/resume.sh [--np N] [--then_np M] [--output DIR] [--bin DIR] [-- FLAGS]

Trains with ZeRO-2 in one go; trains again, stops half-way, and resumes on M ranks (default: N) from the checkpoint that the
stop left; and holds the two logs against each other. On as many ranks the resumed run is the same to the last bit, on another
number, with as many images a step, the same but for rounding.

Example, on a machine without a GPU:
  jobs/resume.sh --np 2 --then_np 1 -- --model_config tiny --dataset fashion-mnist \
    --data_path /usr/share/datasets/fashion-mnist --input_size 28 --patch_size 7 --epochs 1 --warmup_epochs 0.1

TEXT
}

own=([then_np]='')
parse_experiment "$@"
own[then_np]=${own[then_np]:-$ranks}
leave_out --resume --max_steps
recipe
default_flags --config configs/zero2.json

images=$(($(flag_value --batch_size) * ranks))
((images % own[then_np] == 0)) || refuse "--then_np ${own[then_np]} does not divide the $images images of a micro-step"
launch "$ranks" finetune "${flags[@]}" --output_dir "$output/whole"
half_way=$(($(wc -l <"$output/whole/steps.jsonl") / 2))
((half_way > 0)) || refuse "a run of one step has no half: give more data or epochs"
launch "$ranks" finetune "${flags[@]}" --max_steps "$half_way" --output_dir "$output/resumed"
# As many images a step on the other ranks.
drop_flag --batch_size
launch "${own[then_np]}" finetune "${flags[@]}" --batch_size $((images / own[then_np])) --resume auto --output_dir "$output/resumed"
alone tessera compare "$output/whole" "$output/resumed" --output "$output/curves.svg"
