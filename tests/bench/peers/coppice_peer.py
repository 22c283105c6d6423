"""How Coppice runs a workload, and what its run folder says about it (docs/run_folder.md)."""

import json
import pathlib

from workloads import WORKLOADS

ROOT = pathlib.Path(__file__).resolve().parents[3]
CONFIGS = {"w1": "w1_lenet5.yaml", "w2": "w2_null.yaml", "w3": "w3_aggregate.yaml", "w4": "w4_logistic.yaml",
           "w5": "w5_cifar_cnn.yaml"}


def config_of(name):
    return ROOT / "configs" / "bench" / CONFIGS[name]


def command(binary, name, rounds, processes, data, run_folder):
    """Where something is trained, on the file that the other peers read, split into the same clients."""
    own = [f"train.rounds={rounds}", f"eval.every={rounds}"]
    if WORKLOADS[name].epochs:
        own += ["data.name=npz", f"data.root={data / name}.npz", "data.partition.scheme=by_key",
                "data.partition.clients=0"]
    return [str(ROOT / "launch" / "mpirun"), "-np", str(processes), str(binary), "run", str(config_of(name)), *own,
            "--out", str(run_folder)]


def result(run_folder):
    lines = (run_folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rounds = [json.loads(line) for line in lines]
    summary = json.loads((run_folder / "summary.json").read_text(encoding="utf-8"))
    missing = sum(line["missing"] + line["refused"] for line in rounds)
    if missing:
        raise ValueError(f"{run_folder}: {missing} clients missing or refused")
    return {"version": f"{summary['executor']}, {summary['isa']}", "round_seconds": [line["seconds"] for line in rounds],
            "samples": rounds[-1]["samples"], "accuracy": rounds[-1]["test_accuracy"], "mean_is_right": None}
