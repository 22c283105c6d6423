"""Runs the same work on Coppice and its peers, a line of JSON a run.

Started by tests/bench/peers/run, which installs what the peers need. Repetitions are the outer loop: each goes through
all workloads and peers, so that a busy minute of the machine hits them alike.
"""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

import coppice_peer
import measure
from workloads import WORKLOADS

HERE = pathlib.Path(__file__).resolve().parent
ENVIRONMENTS = {"bare": "torch", "pfl": "pfl", "flwr": "flwr"}  # of the peers in Python
DEFAULT_PEERS = "bare:1,bare:2,coppice:1,coppice:2,pfl:1,pfl:2,flwr:2"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
# glibc gives large blocks back to the kernel at once, and a training step asks for them again. Coppice sets the same
# for itself; 32 MiB is the most that glibc takes.
TUNED_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}


def peers_of(text):
    """bare:2,flwr -> [("bare", 2), ("flwr", 1), ("flwr", 2)]"""
    peers = []
    for word in text.split(","):
        name, _, count = word.partition(":")
        if name not in (*ENVIRONMENTS, "coppice"):
            raise argparse.ArgumentTypeError(f"unknown peer '{name}'; known: {', '.join(ENVIRONMENTS)}, coppice")
        if count and not (count.isdigit() and 1 <= int(count) <= 64):
            raise argparse.ArgumentTypeError(f"'{word}': expected a number of processes from 1 to 64 after the colon")
        peers += [(name, int(count))] if count else [(name, 1), (name, 2)]
    return peers


def workloads_of(text):
    """w1,w4:10 -> {"w1": its own rounds, "w4": 10}"""
    chosen = {}
    for word in text.split(","):
        name, _, count = word.partition(":")
        if name not in WORKLOADS:
            raise argparse.ArgumentTypeError(f"unknown workload '{name}'; known: {', '.join(WORKLOADS)}")
        if count and not (count.isdigit() and int(count) >= 2):
            raise argparse.ArgumentTypeError(f"'{word}': expected at least 2 rounds after the colon (the first is left out)")
        chosen[name] = int(count) if count else WORKLOADS[name].rounds
    return chosen


def positive(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got '{text}'")
    return int(text)


def read_options(arguments):
    parser = argparse.ArgumentParser(
        prog="tests/bench/peers/run", description="Runs the same work on Coppice, a bare PyTorch loop and other frameworks.",
        epilog="Workloads: " + "; ".join(f"{name}: {workload.text}" for name, workload in WORKLOADS.items()))
    parser.add_argument("--peers", type=peers_of, default=DEFAULT_PEERS, metavar="NAME[:PROCESSES],...",
                        help=f"default {DEFAULT_PEERS}; without a number both 1 and 2 processes")
    parser.add_argument("--workloads", type=workloads_of, default=",".join(WORKLOADS), metavar="NAME[:ROUNDS],...")
    parser.add_argument("--repetitions", type=positive, default=3)
    parser.add_argument("--limit", type=positive, default=300, metavar="SECONDS", help="of one run; default 300")
    parser.add_argument("--coppice", type=pathlib.Path, default=coppice_peer.ROOT / "build/release/coppice",
                        metavar="BINARY", help="default build/release/coppice")
    parser.add_argument("--folder", type=pathlib.Path, default=coppice_peer.ROOT / "build/peers",
                        help="for environments, data, logs and results.jsonl; default build/peers")
    parser.add_argument("--plan", action="store_true", help="only check the arguments and say what has to be there")
    options = parser.parse_args(arguments)
    options.folder = options.folder.resolve()
    if any(name == "coppice" for name, _ in options.peers):
        if not os.access(options.coppice, os.X_OK) or options.coppice.is_dir():
            parser.error(f"--coppice {options.coppice}: there is no such program; build it with launch/build")
        options.coppice = options.coppice.resolve()
    return options


def commit():
    answer = subprocess.run(["git", "-C", str(HERE), "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True,
                            check=False)
    return answer.stdout.strip() or "unknown"


def last_line(log):
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "no output"


def run_one(options, peer, processes, workload, rounds):
    """One run of one peer: what goes into results.jsonl."""
    log = options.folder / "logs" / f"{workload}-{peer}-{processes}.log"
    scratch = pathlib.Path(tempfile.mkdtemp(dir=options.folder, prefix="run-"))
    data = options.folder / "data"
    if peer == "coppice":
        command = coppice_peer.command(options.coppice, workload, rounds, processes, data, scratch / "run")
        environment = {}
    else:
        python = options.folder / ENVIRONMENTS[peer] / "bin/python"
        command = [str(python), str(HERE / f"{peer}_peer.py"), "--workload", workload, "--rounds", str(rounds),
                   "--processes", str(processes), "--data", str(data), "--result", str(scratch / "result.json")]
        environment = {**ONE_THREAD, **TUNED_MALLOC}
    line = {"at": datetime.datetime.now().isoformat(timespec="seconds"), "peer": peer, "processes": processes,
            "workload": workload, "rounds": rounds}
    measured, why = measure.run(command, environment, log, options.limit)
    line.update(measured)
    try:
        if why is None:
            found = coppice_peer.result(scratch / "run") if peer == "coppice" else json.loads(
                (scratch / "result.json").read_text(encoding="utf-8"))
            line["seconds_per_round"] = statistics.fmean(found["round_seconds"][1:])
            line.update(found)
    except (OSError, ValueError, KeyError, statistics.StatisticsError) as error:
        why = f"left no result: {error}"
    if why is not None:
        line["failed"] = f"{why}: {last_line(log)}"
    shutil.rmtree(scratch, ignore_errors=True)
    return line


def main(arguments):
    options = read_options(arguments)
    environments = sorted({ENVIRONMENTS[name] for name, _ in options.peers if name in ENVIRONMENTS})
    if options.plan:
        print(options.folder)
        print(" ".join(environments))
        print(" ".join(options.workloads))
        return 0
    (options.folder / "logs").mkdir(parents=True, exist_ok=True)
    measure.adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = datetime.datetime.now().isoformat(timespec="seconds")
    failures = 0
    for repetition in range(1, options.repetitions + 1):
        for workload, rounds in options.workloads.items():
            for peer, processes in options.peers:
                if peer == "coppice" and not coppice_peer.config_of(workload).exists():
                    print(f"{workload} coppice: there is no {coppice_peer.config_of(workload)}; left out", file=sys.stderr)
                    continue
                line = {**run_one(options, peer, processes, workload, rounds), "started": started, "repetition": repetition,
                        "commit": commit()}
                with open(options.folder / "results.jsonl", "a", encoding="utf-8") as results:
                    results.write(json.dumps(line) + "\n")
                failures += "failed" in line
                outcome = line.get("failed") or f"{line['seconds_per_round']:.6g} s a round"
                print(f"{repetition}/{options.repetitions} {workload} {peer} {processes}: {outcome}, "
                      f"load {line['load_after'][0]}", file=sys.stderr, flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
