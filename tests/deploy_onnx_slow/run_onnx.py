#!/usr/bin/env python3
"""Runs ONNX models with onnxruntime on the CPU: an implementation that is not ours.

    run_onnx.py LEVEL (MODEL INPUT OUTPUT)...

LEVEL: `plain` runs the graph as it is written, `optimized` lets onnxruntime replace
QuantizeLinear ... DequantizeLinear by integer kernels; no option keeps signed weights from saturating
where there is no VNNI. INPUT holds samples as raw float32, or int32 ids; OUTPUT becomes the logits as raw float32. Prints one line a model: its outputs'
shape and the operators that onnxruntime ran.
"""

import collections
import json
import os
import sys

import numpy as np
import onnxruntime


def options_of(level):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = {
        "plain": levels.ORT_DISABLE_ALL,
        "optimized": levels.ORT_ENABLE_ALL,
    }[level]
    options.enable_profiling = True
    return options


def operators_run(session):
    """How many nodes of each operator the profile names."""
    path = session.end_profiling()
    with open(path, encoding="utf-8") as file:
        events = json.load(file)
    os.remove(path)
    nodes = {e["name"]: e["args"]["op_name"] for e in events if e.get("cat") == "Node" and "op_name" in e["args"]}
    return dict(sorted(collections.Counter(nodes.values()).items()))


def run(level, model, samples, output):
    options = options_of(level)
    options.profile_file_prefix = output
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    (wanted,) = session.get_outputs()
    if given.name != "input" or wanted.name != "logits" or given.shape[0] != "batch":
        sys.exit(f"{model}: expected batch x input -> logits, got {given.name} {given.shape} -> {wanted.name}")
    dtypes = {"tensor(int32)": np.int32, "tensor(int64)": np.int64}
    values = np.fromfile(samples, dtype=np.int32 if given.type in dtypes else np.float32)
    values = values.astype(dtypes.get(given.type, np.float32))
    (logits,) = session.run(None, {"input": values.reshape([-1] + given.shape[1:])})
    if list(logits.shape[1:]) != wanted.shape[1:]:
        sys.exit(f"{model}: the file promises {wanted.shape}, the logits are {logits.shape}")
    logits.astype(np.float32).tofile(output)
    print(list(logits.shape), operators_run(session))


def main():
    if len(sys.argv) < 5 or len(sys.argv) % 3 != 2:
        print(__doc__, file=sys.stderr)
        return 2
    for i in range(2, len(sys.argv), 3):
        run(sys.argv[1], *sys.argv[i : i + 3])
    return 0


if __name__ == "__main__":
    sys.exit(main())
