"""Become a command that cannot outlive the thread which started it: `python tether.py PARENT_PID COMMAND…`.

The kernel's parent-death signal is set here, after the fork and before the exec, because a `preexec_fn` is unsafe in a
process with threads and because the broker is no Python program that could watch a pipe. The kernel ties the signal to
the *thread* that forked, so `deploy.local.supervisor` starts each process from a thread that lives as long as it does.
Linux only: elsewhere the command runs untethered.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def tie(parent_pid: int) -> None:
    """Have this process end with the thread that started it; at once if its process is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit("the process that started this one is gone")


def main() -> None:
    """Tie this process to its parent, and exec the command."""
    parent_pid, command = int(sys.argv[1]), sys.argv[2:]
    tie(parent_pid)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
