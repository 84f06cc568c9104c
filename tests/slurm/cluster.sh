#!/bin/bash
# A Slurm cluster of two nodes in namespaces of this machine, for tests; see --help.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: tests/slurm/cluster.sh check              says why there can be no cluster here, with exit status 1
       tests/slurm/cluster.sh up DIR [OWNER [SETTING]...]
                                                 starts one that lives in DIR, until down or the process OWNER ends;
                                                 SETTINGs, such as KillWait=5, go to slurm.conf
       tests/slurm/cluster.sh exec DIR COMMAND   runs a command on its head node, in the current directory
       tests/slurm/cluster.sh on DIR NODE COMMAND  ... on node1 or node2
       tests/slurm/cluster.sh down DIR           ends it and every process in it

munged, slurmctld and two slurmds, each node with its own host name, network, /dev/shm and IPC; all of them in one PID
namespace, so that nothing outlives the cluster. A node is cut off with exec DIR ip link set node2 down (and again up).
Jobs that ended are in DIR/log/jobs (sacct --completion). DIR must be new.
TEXT
}

self=$(readlink -f "$0")
nodes=(node1 node2)
network=10.77.0

check() {
  local program
  for program in munged slurmctld slurmd sbatch; do
    command -v "$program" >/dev/null || { echo "$program is not installed (jobs/setup.sh --tests installs Slurm)"; return 1; }
  done
  ((EUID == 0)) || { echo "only root can start slurmd"; return 1; }
  unshare --pid --fork --net --uts --ipc --mount ip link add veth_a type veth peer name veth_b 2>/dev/null ||
    { echo "this machine allows no namespaces with a network of their own"; return 1; }
}

write_configuration() {
  local i settings=("$@")
  # A slow slurmd on a loaded machine is no dead one.
  [[ " $* " == *" SlurmdTimeout="* ]] || settings+=(SlurmdTimeout=60)
  mkdir -p "$dir"/{etc,state,log,run,dev}
  dd if=/dev/urandom of="$dir/etc/munge.key" bs=1024 count=1 status=none
  chmod 600 "$dir/etc/munge.key"
  echo "127.0.0.1 localhost" >"$dir/etc/hosts"
  echo "$network.1 head" >>"$dir/etc/hosts"
  for i in "${!nodes[@]}"; do
    echo "$network.$((i + 2)) ${nodes[i]}" >>"$dir/etc/hosts"
    mkdir -p "$dir/spool/${nodes[i]}" "$dir/tmp/${nodes[i]}"
    chmod 1777 "$dir/tmp/${nodes[i]}"
  done
  # Slurm counts devices, and asks nothing of them: each is a /dev/null.
  for i in 0 1 2 3; do mknod "$dir/dev/gpu$i" c 1 3; done
  printf 'AutoDetect=off\nName=gpu File=%s/dev/gpu[0-3]\n' "$dir" >"$dir/etc/gres.conf"
  # %n keeps apart what nodes have on one machine: a shared pid file, say, makes the second slurmd end the first.
  # cred_expire is how long a requeued job waits.
  cat >"$dir/etc/slurm.conf" <<TEXT
ClusterName=tessera
SlurmctldHost=head
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/run/munge.sock,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmdPidFile=$dir/run/slurmd-%n.pid
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdLogFile=$dir/log/slurmd-%n
SlurmctldLogFile=$dir/log/slurmctld
TmpFS=$dir/tmp/%n
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc=$dir/log/jobs
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0
SlurmdParameters=config_overrides
ReturnToService=2
$(printf '%s\n' "${settings[@]}")
MinJobAge=86400
GresTypes=gpu
FirstJobId=$((RANDOM + 1000))
NodeName=$(IFS=, && echo "${nodes[*]}") CPUs=4 Boards=1 SocketsPerBoard=1 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=2000 Gres=gpu:4 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
TEXT
}

# Ends with the owner, and takes the cluster along however it ends itself.
keep() {
  local owner=$1 foreman
  setpriv --pdeathsig KILL unshare --pid --fork --kill-child --net --uts --ipc --mount "$self" foreman "$dir" & foreman=$!
  trap 'kill -KILL $foreman 2>/dev/null || true' EXIT
  trap exit TERM
  while kill -0 "$foreman" 2>/dev/null && kill -0 "$owner" 2>/dev/null; do
    sleep 0.5 &
    wait $!
  done
}

# Process 1 of the cluster, and its head node.
foreman() {
  local host_pid i
  read -r host_pid _ </proc/self/stat # the old /proc has the number by which others know this process
  mount --make-rprivate /
  mount -t proc proc /proc
  mount --bind "$dir/etc/hosts" /etc/hosts
  hostname head
  ip link set lo up
  ip link add bridge type bridge
  ip address add "$network.1/24" dev bridge
  ip link set bridge up
  # --force: DIR may be another user's business, such as a directory of mktemp's.
  munged --foreground --force --key-file="$dir/etc/munge.key" --socket="$dir/run/munge.sock" --pid-file="$dir/run/munged.pid" \
    --seed-file="$dir/run/munge.seed" &
  until [[ -S $dir/run/munge.sock ]]; do sleep 0.05; done
  slurmctld -D -i &
  for i in "${!nodes[@]}"; do
    start_node "${nodes[i]}" "$network.$((i + 2))"
  done
  echo "$host_pid" >"$dir/run/foreman.new"
  mv "$dir/run/foreman.new" "$dir/run/foreman"
  wait
}

start_node() {
  unshare --net --uts --ipc --mount "$self" node "$dir" "$1" "$2" & local pid=$!
  while [[ $(readlink "/proc/$pid/ns/net") == "$(readlink /proc/self/ns/net)" ]]; do sleep 0.02; done
  ip link add "$1" type veth peer name eth0 netns "$pid"
  ip link set "$1" master bridge up
  echo "$pid" >"$dir/run/$1"
}

node() {
  local name=$1 address=$2
  until [[ -e /proc/self/net/dev_snmp6/eth0 ]] || ip link show eth0 >/dev/null 2>&1; do sleep 0.02; done
  hostname "$name"
  mount -t tmpfs -o mode=1777 tmpfs /dev/shm
  ip link set lo up
  ip address add "$address/24" dev eth0
  ip link set eth0 up
  exec slurmd -D -N "$name"
}

# Only a cluster's own processes can be meant: nothing else can be seen from there.
run_inside() {
  local foreman
  foreman=$(cat "$dir/run/foreman")
  # A process that changes its mounts loses its directory.
  # shellcheck disable=SC2016  # the inner shell's
  exec nsenter --target "$foreman" --net --uts --ipc --mount --pid -- bash -c 'cd "$1" && shift && exec "$@"' _ "$PWD" "$@"
}

run_on_node() {
  local name=$1
  shift
  # shellcheck disable=SC2016  # the inner shell's
  run_inside nsenter --target "$(cat "$dir/run/$name")" --net --uts --ipc --mount -- \
    bash -c 'cd "$1" && shift && exec "$@"' _ "$PWD" "$@"
}

up() {
  local owner=${1:-1} tries
  (($# == 0)) || shift
  check >&2
  [[ ! -e $dir/run ]] || { echo "cluster.sh: $dir has a cluster already" >&2; return 1; }
  write_configuration "$@"
  setsid "$self" keep "$dir" "$owner" </dev/null >"$dir/log/daemons" 2>&1 &
  echo $! >"$dir/run/keep"
  for ((tries = 0; tries < 300; ++tries)); do
    if [[ -e $dir/run/foreman && $("$self" exec "$dir" sinfo -h -N -o %T 2>/dev/null | sort | uniq -c | tr -d ' \n') == "${#nodes[@]}idle" ]]; then
      return 0
    fi
    kill -0 "$(cat "$dir/run/keep")" 2>/dev/null || break
    sleep 0.1
  done
  echo "cluster.sh: the nodes did not come up" >&2
  tail -n 20 "$dir"/log/* >&2
  down
  return 1
}

down() {
  local pid foreman
  pid=$(cat "$dir/run/keep") foreman=$(cat "$dir/run/foreman" 2>/dev/null || true)
  kill "$pid" 2>/dev/null || true
  # Process 1 of a namespace is gone when all the others are.
  while kill -0 "$pid" 2>/dev/null || { [[ -n $foreman ]] && kill -0 "$foreman" 2>/dev/null; }; do sleep 0.05; done
  rm -rf "$dir/run"
}

(($#)) || { usage >&2; exit 2; }
verb=$1
shift
case $verb in
  --help) usage && exit 0 ;;
  check) check && exit 0 ;;
esac
(($#)) || { usage >&2; exit 2; }
dir=$(readlink -m "$1")
shift
export SLURM_CONF=$dir/etc/slurm.conf
case $verb in
  up) up "$@" ;;
  down) down ;;
  exec) run_inside "$@" ;;
  on) run_on_node "$@" ;;
  keep | foreman | node) "$verb" "$@" ;; # these it starts itself
  *) usage >&2 && exit 2 ;;
esac
