# shellcheck shell=bash
# What every job and experiment shares, by sourcing it: how ranks are started under Slurm and without it, and the flags
# that the user gave. The site says in these variables how (docs/slurm.md):
#   TESSERA_BIN        where tessera and tessera-ckpt are (default: build/bin)
#   TESSERA_LAUNCHER   of ranks in a Slurm job: srun (the default) or mpirun
#   TESSERA_CONTAINER  an Apptainer image to run the programs in

bin=${TESSERA_BIN:-build/bin} flags=()

refuse() {
  echo "jobs/${script:?}: $*" >&2
  exit 2
}

require_count() {
  [[ $2 =~ ^[1-9][0-9]*$ ]] || refuse "$1 must be a whole number above 0, not '$2'"
}

in_slurm() { [[ -n ${SLURM_JOB_ID:-} ]] && command -v srun >/dev/null; }

# program NAME: sets `program` to the words that run NAME, tessera or tessera-ckpt, in the container if there is one.
program() {
  program=("$bin/$1")
  [[ -z ${TESSERA_CONTAINER:-} ]] || program=(apptainer exec --nv "$TESSERA_CONTAINER" "${program[@]}")
}

# alone NAME ARGUMENTS...: runs it here, in one process.
alone() {
  local program
  program "$1"
  "${program[@]}" "${@:2}"
}

require_programs() {
  if [[ -n ${TESSERA_CONTAINER:-} ]]; then
    [[ -e $TESSERA_CONTAINER ]] || refuse "the container $TESSERA_CONTAINER is not there: build it from jobs/tessera.def"
    command -v apptainer >/dev/null || refuse "apptainer is not in the path: load its module, or leave TESSERA_CONTAINER out"
    return
  fi
  [[ -x $bin/tessera ]] || refuse "$bin/tessera is not there: build with jobs/setup.sh, or export TESSERA_BIN=DIR, where it is"
}

# set_command RANKS VERB FLAGS...: sets `command` to what runs tessera, or the program `launched`, on so many ranks, of a
# Slurm job's tasks the first.
set_command() {
  local np=$1 program
  shift
  program "${launched:-tessera}"
  if ! in_slurm; then
    command=()
    # One rank without a launcher: that would bind it to one core.
    ((np == 1)) || command=(mpirun --oversubscribe -np "$np")
  elif [[ ${TESSERA_LAUNCHER:-srun} == mpirun ]]; then
    # Knows the job's nodes and tasks. Its own binding, a core for a rank, would starve the threads that prepare images.
    command=(mpirun --bind-to none -np "$np")
  else
    # srun does not take --cpus-per-task from the job (Slurm 22.05 and later).
    export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}
    # A rank that dies before it has joined the others is not missed by them: seconds until srun ends a step that lost one.
    export SLURM_WAIT=${SLURM_WAIT:-60}
    command=(srun --mpi=pmix --ntasks="$np")
  fi
  # As root, in a container say, Open MPI wants to be told twice that this is meant.
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  command+=("${program[@]}" "$@")
  printf '\n== ranks: %s; %s %s\n' "$np" "${launched:-tessera}" "$*" >&2
}

# launch RANKS VERB FLAGS...: runs it, and waits.
launch() {
  local command
  set_command "$@"
  "${command[@]}"
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

# default_flags --NAME VALUE...: adds what the user did not give.
default_flags() {
  while (($#)); do
    has_flag "$1" || flags+=("$1" "$2")
    shift 2
  done
}

# drop_flag --NAME: leaves it and its value out.
drop_flag() {
  local i kept=()
  for ((i = 0; i < ${#flags[@]}; ++i)); do
    case ${flags[i]} in
      "$1") ((++i)) ;;
      "$1="*) ;;
      *) kept+=("${flags[i]}") ;;
    esac
  done
  flags=("${kept[@]}")
}

# default_config FILE: where the user gave none, under the old name either.
default_config() {
  has_flag --deepspeed_config || default_flags --config "$1"
}
