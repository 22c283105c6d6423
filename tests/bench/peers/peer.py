"""What a peer's script reads and leaves: its options, and one JSON object that measure.py completes."""

import argparse
import json
import pathlib
import time

from workloads import WORKLOADS


def read_options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--workload", choices=WORKLOADS, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder of the .npz files")
    parser.add_argument("--result", type=pathlib.Path, required=True, help="file for the JSON object")
    return parser.parse_args()


class Stopwatch:
    """begin() when the first round starts, lap() when the global model of a round is there."""

    def __init__(self):
        self.seconds = []
        self.last = None

    def begin(self):
        self.last = time.monotonic()

    def lap(self):
        now = time.monotonic()
        self.seconds.append(now - self.last)
        self.last = now


def leave_result(options, version, seconds, samples=0, accuracy=None, mean_is_right=None):
    """`seconds` of each round; `samples` trained on in the last one, every epoch counted; the rest where it applies."""
    result = {"version": version, "round_seconds": [round(value, 7) for value in seconds], "samples": samples,
              "accuracy": accuracy, "mean_is_right": mean_is_right}
    options.result.write_text(json.dumps(result), encoding="utf-8")
