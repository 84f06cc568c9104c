#pragma once

namespace tessera::topology {

/// From now on sched_yield(), whoever calls it in this process, sleeps for as short as the system can rather than
/// yield.
///
/// Where ranks share cores, MPI waits by calling it in a loop (mpi_yield_when_idle, which mpirun turns on by itself),
/// and the kernel's scheduler keeps no promise about it: on Linux 6.18 threads that did nothing but yield were not run
/// again for up to five seconds, with whatever lock of the MPI library they held, and the watchdog of the rank with
/// them. Whoever sleeps is run again in time, and leaves the core to whom the wait is for. NCCL and OpenMP yield as
/// well, and go on doing so where MPI does not: at one rank a core a sleep would only be late.
void sleep_to_yield(bool sleeps);

/// Whether the launcher or the user has told Open MPI to yield: OMPI_MCA_mpi_yield_when_idle, or else
/// OMPI_MCA_mpi_oversubscribe, which mpirun sets to 1 where a node has more ranks than slots.
bool mpi_yields();

}  // namespace tessera::topology
