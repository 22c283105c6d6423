"""Runs a command and watches the memory of all its processes, daemons included."""

import ctypes
import os
import pathlib
import resource
import signal
import subprocess
import time

PR_SET_CHILD_SUBREAPER = 36
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LOOKS_EACH_PSS = 8  # after the first so many: the proportional size is dear to read for a process of gigabytes
MIB = 2**20


def adopt_orphans():
    """Daemons that a peer leaves then stay below this process, where they are seen and ended."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants():
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = pathlib.Path("/proc", entry, "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # it has just ended
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry))
    found, waiting = [], [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def resident_bytes(process):
    return int(pathlib.Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()[1]) * PAGE_BYTES


def proportional_bytes(process):
    """Shared pages count once over all processes."""
    lines = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def total(count_bytes, processes):
    size = 0
    for process in processes:
        try:
            size += count_bytes(process)
        except (OSError, IndexError):
            pass  # it has just ended
    return size


def end_all():
    """Whatever the command left behind, and whatever that starts meanwhile."""
    while processes := descendants():
        for process in processes:
            try:
                os.kill(process, signal.SIGKILL)
            except OSError:
                pass  # it has just ended
        time.sleep(0.05)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return


def cpu_seconds():
    """Of everything that ran below this process and has ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(command, environment, log, limit_seconds):
    """Runs `command` with its output in the file `log`. Returns what was measured, and why it failed or None."""
    load = os.getloadavg()
    cpu = cpu_seconds()
    start = time.monotonic()
    resident = proportional = looks = 0
    try:
        with open(log, "wb") as output:
            child = subprocess.Popen(command, env={**os.environ, **environment}, stdout=output, stderr=output,
                                     stdin=subprocess.DEVNULL)
            while (code := child.poll()) is None and time.monotonic() - start < limit_seconds:
                processes = descendants()
                resident = max(resident, total(resident_bytes, processes))
                if looks < LOOKS_EACH_PSS or looks % LOOKS_EACH_PSS == 0:
                    proportional = max(proportional, total(proportional_bytes, processes))
                looks += 1
                time.sleep(0.25)
        wall_seconds = time.monotonic() - start
    finally:  # also when this process is told to end
        end_all()
    measured = {"wall_seconds": round(wall_seconds, 2), "cpu_seconds": round(cpu_seconds() - cpu, 2),
                "peak_rss_mib": round(resident / MIB), "peak_pss_mib": round(proportional / MIB),
                "load_before": [round(value, 2) for value in load],
                "load_after": [round(value, 2) for value in os.getloadavg()]}
    if code is None:
        return measured, f"not done after {limit_seconds} s"
    return measured, None if code == 0 else f"exit code {code}"
