# shellcheck shell=bash
# What the experiments share, by sourcing it: options, and the recipe.

# shellcheck source=jobs/launch.sh
. jobs/launch.sh

ranks='' output=''
declare -A own=() # options of one experiment, with their defaults

# The end of every --help.
shared_help() {
  cat <<TEXT
  --np N         ranks (default 1; in a Slurm job as many as it has tasks)
  --output DIR   where the runs go; must not be there yet (default: $output)
  --bin DIR      where tessera and tessera-ckpt are (default: $bin)
  -- FLAGS       of tessera finetune, for every fine-tuning here: model, data, recipe. What is not given is the reference
                 pipeline's: CIFAR-100 from data/cifar-100-binary.tar.gz, 100 epochs, 32 images a rank x 2, warm-up 10,
                 blr 1e-3, weight decay 0.05, gradient norm at most 1, seed 42
Paths are taken from the repository's directory. Under Slurm submit there: sbatch [--nodes=2 --gpus-per-node=4 ...] jobs/$script ...
TEXT
}

# parse_experiment ARGUMENTS...: sets ranks, output, bin, own, and flags, those of tessera finetune.
parse_experiment() {
  output=results/${script%.sh}
  local default_output=$output
  while (($#)); do
    case $1 in
      --help) output=$default_output && usage && shared_help && exit 0 ;;
      --) shift && flags=("$@") && break ;;
      --*) (($# > 1)) || refuse "$1 needs a value; see --help" ;;
    esac
    case $1 in
      --np) ranks=$2 ;;
      --output) output=$2 ;;
      --bin) bin=$2 ;;
      *)
        [[ $1 == --* && -n ${own[${1#--}]+known} ]] || refuse "unknown option $1; flags of tessera finetune follow a --, see --help"
        own[${1#--}]=$2
        ;;
    esac
    shift 2
  done
  check_experiment
}

check_experiment() {
  local tasks=${SLURM_NTASKS:-1} name
  if in_slurm; then
    [[ ${ranks:-$tasks} == "$tasks" ]] || refuse "--np $ranks, but the job has $tasks tasks: leave --np out"
    ranks=$tasks
  fi
  ranks=${ranks:-1}
  require_count --np "$ranks"
  for name in "${!own[@]}"; do
    [[ -z ${own[$name]} ]] || require_count "--$name" "${own[$name]}"
  done
  require_programs
  [[ ! -e $output ]] || refuse "--output $output is there already: remove it, or name another directory"
}

# leave_out FLAG...: what the experiment itself chooses.
leave_out() {
  local flag
  for flag in "$@"; do
    ! has_flag "$flag" || refuse "$flag is what this experiment chooses: leave it out"
  done
}

# The reference pipeline's recipe: on 4 ranks a batch of 256 images.
recipe() {
  default_flags --dataset cifar100 --data_path data/cifar-100-binary.tar.gz --batch_size 32 --accum_iter 2 --epochs 100 \
    --weight_decay 0.05 --clip_grad 1.0 --seed 42
  has_flag --lr || default_flags --blr 1e-3
  has_flag --warmup_steps || default_flags --warmup_epochs 10
}

last() { # last FILE KEY: the number after "KEY" in the last line of FILE
  tail -n 1 "$1" | grep -o "\"$2\":[^,}]*" | cut -d: -f2
}
