# shellcheck shell=bash
# What the experiments share. They source it: options, and how ranks are started under mpirun and under Slurm alike.

ranks='' output='' bin=build/bin flags=()
declare -A own=() # options of one experiment, with their defaults

refuse() {
  echo "jobs/${script:?}: $*" >&2
  exit 2
}

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
  [[ -x $bin/tessera ]] || refuse "$bin/tessera is not there: build with jobs/setup.sh, or say where it is with --bin"
  [[ ! -e $output ]] || refuse "--output $output is there already: remove it, or name another directory"
}

require_count() {
  [[ $2 =~ ^[1-9][0-9]*$ ]] || refuse "$1 must be a whole number above 0, not '$2'"
}

in_slurm() { [[ -n ${SLURM_JOB_ID:-} ]] && command -v srun >/dev/null; }

# launch RANKS VERB FLAGS...: tessera on so many ranks, of a Slurm job's tasks the first.
launch() {
  local np=$1
  shift
  printf '\n== ranks: %s; tessera %s\n' "$np" "$*" >&2
  if in_slurm; then
    srun --mpi=pmix --ntasks="$np" "$bin/tessera" "$@"
  elif ((np == 1)); then
    "$bin/tessera" "$@" # a launcher would bind it to one core
  else
    # As root, in a container say, Open MPI wants to be told twice that this is meant.
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe -np "$np" "$bin/tessera" "$@"
  fi
}

# flag_value --NAME: the value that the user gave, else nothing.
flag_value() {
  local i
  for i in "${!flags[@]}"; do
    case ${flags[i]} in
      "$1="*) echo "${flags[i]#*=}" && return ;;
      "$1") echo "${flags[i + 1]:-}" && return ;;
    esac
  done
}

has_flag() { # has_flag --NAME: whether the user gave it
  local flag
  for flag in "${flags[@]}"; do
    [[ $flag != "$1" && $flag != "$1="* ]] || return 0
  done
  return 1
}

# leave_out FLAG...: what the experiment itself chooses.
leave_out() {
  local flag
  for flag in "$@"; do
    ! has_flag "$flag" || refuse "$flag is what this experiment chooses: leave it out"
  done
}

# default_flags --NAME VALUE...: adds what the user did not give.
default_flags() {
  while (($#)); do
    has_flag "$1" || flags+=("$1" "$2")
    shift 2
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
