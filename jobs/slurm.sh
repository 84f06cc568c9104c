# shellcheck shell=bash
# What the .sbatch files share, by sourcing it: a run that hears Slurm's signals, whose end is checked, and goes on later.

# shellcheck source=jobs/launch.sh
. jobs/launch.sh

readonly stopped_in_time=75 # tessera's exit status where it was asked to stop, and saved
status=0 ended_by_slurm=no start_seconds=${TESSERA_START_SECONDS:-1800}

# What tells one start's args.json from another's.
args_file() { stat -c '%i %y' "$output/args.json" 2>/dev/null || true; }

# A rank that stands still before the ranks watch each other is missed by nobody: no args.json in time, no start.
end_start() {
  [[ $(args_file) == "$1" ]] || return 0
  echo "jobs/$script: the run has not begun within $start_seconds s: ended (TESSERA_START_SECONDS: for slower ones)" >&2
  # Under srun the step's processes are Slurm's; mpirun ends its own.
  if [[ ${command[0]} == srun ]]; then scancel --signal=KILL "$SLURM_JOB_ID.0"; else kill "$2"; fi || true
}

# Starts `command`, and waits for its end: status. `$1`: args_file before it.
run_command() {
  local pid timer code=0
  "${command[@]}" & pid=$!
  sleep "$start_seconds" & timer=$!
  # From #SBATCH --signal=B:USR1@...: the launcher gives it to every rank.
  trap 'kill -USR1 "$pid" 2>/dev/null' USR1
  # scancel and the time limit give SIGTERM to the ranks as well: it is not passed on, and this shell outlives it.
  trap 'ended_by_slurm=yes' TERM
  # Each signal ends a wait.
  while kill -0 "$pid" 2>/dev/null; do
    wait -n "$pid" ${timer:+"$timer"} && code=0 || code=$?
    [[ -n $timer ]] && ! kill -0 "$timer" 2>/dev/null && timer='' && end_start "$1" "$pid"
  done
  wait "$pid" 2>/dev/null && status=0 || status=$?
  ((status != 127)) || status=$code # a bash that remembers a status once
  [[ -z $timer ]] || kill "$timer" 2>/dev/null || true
  trap - USR1
}

# srun has been seen to end with 0 though some of its tasks never began: believe what the run itself wrote.
check_world() {
  local before=$1 ranks
  ranks=$(grep -o '"world_size": *[0-9]*' "$output/args.json" 2>/dev/null | grep -o '[0-9]*$') || ranks=0
  if [[ $(args_file) == "$before" || $ranks != "$SLURM_NTASKS" ]]; then
    echo "jobs/$script: the launcher ended with status 0, but $output/args.json does not tell of a start on all of the" \
      "job's $SLURM_NTASKS tasks (world_size there: $ranks): a node may be broken, see its slurmd log" >&2
    status=1
  fi
}

say_end() {
  case $status in
    0) echo "jobs/$script: done; $output holds the run" ;;
    2) echo "jobs/$script: refused before training, see the message above: mend it and submit again" ;;
    "$stopped_in_time") echo "jobs/$script: stopped in time with a checkpoint: submit the same again, and it goes on" ;;
    *) echo "jobs/$script: failed with exit status $status; the same again goes on from the newest whole checkpoint" ;;
  esac >&2
}

# train VERB: runs it with `flags` on all tasks of the job, from the newest whole checkpoint in --output_dir if there is
# one. Leaves the exit status in `status`, and --output_dir in `output`.
train() {
  local command before
  in_slurm || refuse "this is a job: submit it with jobs/submit.sh ${script%.sbatch} or sbatch jobs/$script"
  require_programs
  output=$(flag_value --output_dir)
  [[ -n $output ]] || refuse "--output_dir DIR is missing: where the run goes, and where it is found again"
  default_flags --resume auto
  before=$(args_file)
  set_command "$SLURM_NTASKS" "$1" "${flags[@]}"
  run_command "$before"
  ((status != 0)) || check_world "$before"
  say_end
}

# Puts the job back into the queue, unless its run is done or was refused. Starts that bring no newer checkpoint are no
# progress: after TESSERA_FRUITLESS_STARTS (3) in a row it gives up.
go_on_later() {
  local most=${TESSERA_FRUITLESS_STARTS:-3}
  ((status != 0 && status != 2)) || return 0
  if [[ $ended_by_slurm == yes ]]; then
    echo "jobs/$script: Slurm has ended this job (scancel, or the time limit before the run had saved): not requeued" >&2
    return
  fi
  mkdir -p "$output"
  echo "$(date +%FT%T) job $SLURM_JOB_ID start ${SLURM_RESTART_COUNT:-0} status $status newest $(cat "$output/latest" 2>/dev/null || echo none)" \
    >>"$output/restarts.txt"
  if (($(wc -l <"$output/restarts.txt") >= most && $(tail -n "$most" "$output/restarts.txt" | sed 's/.*newest//' | sort -u | wc -l) == 1)); then
    echo "jobs/$script: $most starts in a row without a newer checkpoint ($output/restarts.txt): given up" >&2
    return
  fi
  trap - TERM # which comes now
  if scontrol requeue "$SLURM_JOB_ID"; then
    sleep 600 # Slurm ends this shell
  fi
  echo "jobs/$script: the site does not let this job be requeued: submit it again by hand" >&2
}
