"""One Markdown table of results.jsonl, and whether its rows may be compared at all.

    python3 table.py RESULTS [RESULTS ...]

Below a ratio of 1 a peer is faster than the bare loop. "x bare" goes repetition by repetition, each against the bare loop
with as many processes in the same repetition, and is the median of these; "x best bare" sets best against best. Exit
codes: 0, 1 if the work or the accuracy differs or a run failed, 2 wrong use.
"""

import collections
import json
import pathlib
import statistics
import sys

from workloads import WORKLOADS

NEEDED = ("workload", "peer", "processes", "rounds", "started", "repetition", "load_before", "load_after")
LARGEST_SPREAD = 0.005  # of accuracy
HEADER = ("workload", "peer", "processes", "runs", "s/round, median", "best", "x bare", "x best bare", "RSS MiB", "PSS MiB",
          "accuracy", "wall s", "CPU s")


class BadResults(Exception):
    """A file that is no results.jsonl; the text says which line and why."""


def read_lines(paths):
    lines = []
    for path in paths:
        try:
            text = pathlib.Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadResults(f"{path}: cannot be read: {error}") from error
        for index, line in enumerate(text.splitlines(), 1):
            try:
                values = json.loads(line)
                values["source"] = str(path)
                if values["workload"] not in WORKLOADS:
                    raise ValueError(f"unknown workload {values['workload']!r}")
                if "failed" not in values:
                    values["seconds_per_round"] = float(values["seconds_per_round"])
                lines.append({key: values[key] for key in NEEDED} | values)
            except (ValueError, KeyError, TypeError) as error:
                raise BadResults(f"{path}:{index}: not a line of results.jsonl: {error!r}") from error
    return lines


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def median_of(runs, key):
    values = [run[key] for run in runs if run.get(key) is not None]
    return number(statistics.median(values)) if values else ""


def paired_ratio(runs, bare_runs):
    def pair_of(run):
        return run["source"], run["started"], run["repetition"]

    bare = {pair_of(run): run["seconds_per_round"] for run in bare_runs}
    ratios = [run["seconds_per_round"] / bare[pair_of(run)] for run in runs if pair_of(run) in bare]
    return number(statistics.median(ratios)) if ratios else ""


def accuracy_text(runs):
    values = sorted({round(100 * run["accuracy"], 2) for run in runs if run.get("accuracy") is not None})
    return " to ".join(f"{value:.2f}" for value in dict.fromkeys((values[0], values[-1]))) + " %" if values else ""


def rows_of(workload, runs_of):
    """`runs_of`: {(peer, processes): runs} of one workload."""
    best = {row: min(run["seconds_per_round"] for run in runs) for row, runs in runs_of.items()}
    bare = [seconds for (peer, _), seconds in best.items() if peer == "bare"]
    for (peer, processes), runs in sorted(runs_of.items()):
        yield (workload, f"{peer} {runs[-1]['version']}", str(processes), str(len(runs)), median_of(runs, "seconds_per_round"),
               number(best[peer, processes]), paired_ratio(runs, runs_of.get(("bare", processes), [])),
               number(best[peer, processes] / min(bare)) if bare else "", median_of(runs, "peak_rss_mib"),
               median_of(runs, "peak_pss_mib"), accuracy_text(runs) if WORKLOADS[workload].epochs else "",
               median_of(runs, "wall_seconds"), median_of(runs, "cpu_seconds"))


def preconditions(workload, runs):
    """[(is met, sentence)]: what must hold before times of these runs are compared."""
    rounds = {run["rounds"] for run in runs}
    found = [(len(rounds) == 1, f"rounds: {', '.join(map(str, sorted(rounds)))}")]
    if WORKLOADS[workload].epochs:
        samples = sorted({run["samples"] for run in runs})
        found.append((len(samples) == 1, "samples a round: " + ", ".join(f"{value:,}" for value in samples)))
        low, high = min(run["accuracy"] for run in runs), max(run["accuracy"] for run in runs)
        text = f"accuracy: {100 * low:.2f} to {100 * high:.2f} %, {100 * (high - low):.2f} points apart, 0.5 allowed"
        found.append((high - low <= LARGEST_SPREAD, text))
    elif extra := sorted({run["peer"] for run in runs if run["samples"]}):
        found.append((True, f"more than asked: {', '.join(extra)} trains a step on a sample in each client"))
    checked = [run["mean_is_right"] for run in runs if run.get("mean_is_right") is not None]
    if checked:
        found.append((all(checked), f"the mean is right: in {sum(checked)} of {len(checked)} runs that say so"))
    return [(is_met, f"{workload}: {text}{'' if is_met else ': NOT EQUAL, do not compare'}") for is_met, text in found]


def main(arguments):
    if not arguments or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        lines = read_lines(arguments)
    except BadResults as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    groups = collections.defaultdict(lambda: collections.defaultdict(list))
    for line in lines:
        if "failed" not in line:
            groups[line["workload"]][line["peer"], line["processes"]].append(line)
    print("| " + " | ".join(HEADER) + " |\n" + "|---" * len(HEADER) + "|")
    for workload, runs_of in sorted(groups.items()):
        for row in rows_of(workload, runs_of):
            print("| " + " | ".join(row) + " |")
    print()
    failed = [line for line in lines if "failed" in line]
    conditions = [condition for workload, runs_of in sorted(groups.items())
                  for condition in preconditions(workload, [run for runs in runs_of.values() for run in runs])]
    for _, text in conditions:
        print(f"- {text}")
    loads = [load for line in lines for load in (line["load_before"][0], line["load_after"][0])]
    if loads:
        print(f"- load average over a minute beside the runs: {min(loads):.1f} to {max(loads):.1f}")
    for line in failed:
        print(f"- FAILED: {line['workload']} {line['peer']} {line['processes']}: {line['failed']}")
    return 0 if lines and not failed and all(is_met for is_met, _ in conditions) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
