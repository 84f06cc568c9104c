#!/bin/bash
# A run that is disturbed again and again, under Slurm, and its weights against an undisturbed one's; see --help.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: tests/slurm/rounds.sh ROUNDS [--bin DIR] [--seed N] [FAULT...]

Trains a tiny Qwen3 on two Slurm nodes of this machine (tests/slurm/cluster.sh), 2 ranks each, with jobs/short_limit.sbatch,
and disturbs it ROUNDS times, at random moments of its start, its steps and its saves, with each FAULT in turn:
  kill    SIGKILL to a random rank
  stop    SIGSTOP to a random rank
  cut     a random node loses its network, until the job is back in the queue
  signal  SIGUSR1 as before the time limit, once the ranks are there: the run must stop in order
Every time the job must be back by itself within three minutes, and go on. It must end as COMPLETED, with the log and, bit
for bit, the weights of a run that was left alone, and leave no process. Without FAULT, all four. Exit status 0: so it was; 77:
there can be no cluster here, for the reason that is said.
TEXT
}

cd "$(dirname "$0")/../.."
rounds='' bin=build/bin seed=$RANDOM faults=()
while (($#)); do
  case $1 in
    --help) usage && exit 0 ;;
    --bin) bin=$2 && shift ;;
    --seed) seed=$2 && shift ;;
    kill | stop | cut | signal) faults+=("$1") ;;
    *) [[ $1 =~ ^[1-9][0-9]*$ ]] || { echo "rounds.sh: unknown argument $1; see --help" >&2; exit 2; } && rounds=$1 ;;
  esac
  shift
done
[[ -n $rounds ]] || { usage >&2; exit 2; }
((${#faults[@]})) || faults=(kill stop cut signal)
bin=$(readlink -f "$bin")
RANDOM=$seed

tests/slurm/cluster.sh check || exit 77

work=$(mktemp -d)
cluster() { tests/slurm/cluster.sh "$@"; }
on_head() { cluster exec "$work/cluster" "$@"; }
finish() {
  cluster down "$work/cluster" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' TERM INT

say() { printf '%4d s  %s\n' "$SECONDS" "$*"; }
fail() {
  say "FAILED (seed $seed): $*"
  on_head scontrol show job "$job" || true
  tail -n 60 "$work/$job.out" || true
  tail -n 20 "$work"/cluster/log/slurmctld "$work"/cluster/log/slurmd-* || true
  cat "$work/disturbed/restarts.txt" 2>/dev/null || true
  exit 1
}

# In a round at most so many steps are made before it is disturbed: the run must not end before the last round.
steps_a_round=30
flags=(--device cpu --dataset fashion-mnist --data_path /usr/share/datasets/fashion-mnist --input_size 28
  --model_config tests/data/qwen3/gqa4.config.json --patch_size 7 --num_workers 1 --batch_size 10 --epochs 10 --warmup_steps 10 --blr 0.02 --seed 3
  --max_steps $(((rounds + 1) * steps_a_round)) --save_every_steps 10 --keep_last 3)

submit() { # submit NAME OUTPUT
  TESSERA_BIN=$bin OMP_NUM_THREADS=1 on_head jobs/submit.sh "$1" --nodes 2 --ntasks-per-node 2 --sbatch --cpus-per-task=1 \
    --sbatch --gpus-per-node=2 --sbatch --mem=500 --sbatch --time=600 --sbatch --output="$work/%j.out" -- "${flags[@]}" \
    --output_dir "$work/$2" 2>"$work/submit.err" || { cat "$work/submit.err" >&2; return 1; }
}

field() { on_head scontrol show job --oneliner "$job" | grep -o "\b$1=[^ ]*" | head -n 1 | cut -d= -f2; }
steps_made() { { wc -l <"$work/disturbed/steps.jsonl"; } 2>/dev/null || echo 0; }

# await SECONDS WHAT COMMAND...: until the command succeeds.
await() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    ((SECONDS < end)) || fail "waited too long for $what"
    case $(field JobState) in
      FAILED | CANCELLED | TIMEOUT) fail "the job failed for good, waiting for $what" ;;
      COMPLETED) [[ $* == "is_in_state COMPLETED" ]] || fail "the run ended before $what" ;;
    esac
    sleep 0.2
  done
}
is_in_state() { [[ $(field JobState) == "$1" ]]; }
# This start's args.json: the ranks have found each other.
has_begun() {
  local written started
  # A job that waits in the queue again has no time of start.
  started=$(date -d "$(field StartTime)" +%s 2>/dev/null) && written=$(stat -c %Y "$work/disturbed/args.json" 2>/dev/null) &&
    ((written >= started))
}
has_restarted() { (($(field Restarts) > $1)); }

# The ranks' processes: nothing outside of the cluster can be seen there.
random_rank() { on_head pgrep -x tessera | shuf -n 1 --random-source=<(yes "$RANDOM"); }

disturb() {
  local rank restarts node
  # shellcheck disable=SC2015  # either failing is meant
  restarts=$(field Restarts)
  case $1 in
    kill | stop)
      rank=$(random_rank) || true
      # Before its ranks are there, and as they go, there is none to send it to.
      [[ -n $rank ]] && on_head kill -"${1^^}" "$rank" 2>/dev/null || return 1
      await 180 "a restart after $1" has_restarted "$restarts"
      ;;
    cut)
      node=node$((RANDOM % 2 + 1))
      on_head ip link set "$node" down
      await 180 "a restart after the cut of $node" has_restarted "$restarts"
      on_head ip link set "$node" up
      ;;
    signal)
      on_head scancel --batch --signal=USR1 "$job"
      await 180 "a restart after SIGUSR1" has_restarted "$restarts"
      [[ $(tail -n 1 "$work/disturbed/restarts.txt") == *" status 75 "* ]] || fail "it has not stopped in order"
      ;;
  esac
}

round() {
  local number=$1 fault=${faults[($1 - 1) % ${#faults[@]}]} tenths=$((RANDOM % 80))
  await 180 "the job to run" is_in_state RUNNING
  for (( ; tenths > 0; --tenths)); do
    (($(steps_made) < number * steps_a_round)) || break
    sleep 0.1
  done
  [[ $fault != signal ]] || await 180 "the ranks to find each other" has_begun
  say "round $number: $fault at step $(steps_made)"
  until disturb "$fault"; do sleep 0.5; done
}

# More ranks than cores: mpirun would see that, srun does not.
export OMPI_MCA_mpi_yield_when_idle=1
cluster up "$work/cluster" $$ SlurmdTimeout=15 KillWait=5
job=$(submit multi_node whole)
await 1800 "the undisturbed run" is_in_state COMPLETED
say "undisturbed: $(wc -l <"$work/whole/steps.jsonl") steps"

# Faults may come before the first save any number of times, and before a rank has joined the others: a death then is
# noticed by srun alone, a halt by the job.
export TESSERA_FRUITLESS_STARTS=50 SLURM_WAIT=5 TESSERA_START_SECONDS=45
job=$(submit short_limit disturbed)
for ((i = 1; i <= rounds; ++i)); do round "$i"; done
await 1800 "the end of the run" is_in_state COMPLETED

[[ -z $(on_head pgrep -x tessera || true) ]] || fail "ranks are left over"
"$bin/tessera-ckpt" diff "$work/whole/checkpoint-step-$(((rounds + 1) * steps_a_round))" \
  "$work/disturbed/checkpoint-step-$(((rounds + 1) * steps_a_round))" || fail "the weights differ"
figures() { sed 's/,"seconds":.*//' "$work/$1/steps.jsonl"; } # step, epoch, loss, lr, grad_norm
diff <(figures whole) <(figures disturbed) || fail "the logs differ"
say "$rounds rounds (seed $seed): log and weights are bit for bit those of the undisturbed run"
