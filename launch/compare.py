"""Finished runs in Coppice's runtime beside onnxruntime, on one core: one table.

  launch/compare RUN [RUN ...] [--pairs 5] [--runs N] [--json FILE] [--measure build/release/coppice-measure]

RUN is a folder that `coppice run` finished. Its model.cpk runs in coppice-measure, its model.onnx (the same model) and its
dense.onnx (the fp32 control, if there was one) in onnxruntime: single samples, one thread, all on the same core, in turn,
--pairs times. Shown are medians over the pairs; a ratio is taken pair by pair. Exit codes: 0, 1 failed, 2 wrong use or a
folder that is no finished run.
"""

import argparse
import dataclasses
import gc
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

MOST_RUNS, LEAST_RUNS = 1000, 100
SECONDS = 2.0  # of a measurement, as far as LEAST_RUNS allow
OURS, SAME, FP32 = "model.cpk", "model.onnx", "dense.onnx"
TITLES = {OURS: "coppice, {}", SAME: "onnxruntime, {}", FP32: "onnxruntime, fp32"}


class NotComparable(Exception):
    """A folder or a file that cannot be measured; the text says which and why."""


@dataclasses.dataclass
class Run:
    label: str
    files: dict  # OURS, SAME, FP32 -> path, as far as they are there
    kind: str  # of OURS and SAME: int8 (weights of 4 bits run as 8) or fp32
    model_sha256: str
    accuracy: dict  # the same keys -> fraction, as far as it was measured


def read_json(path):
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotComparable(f"{path}: there is no such file; the run is not finished, or has no model.cpk") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise NotComparable(f"{path}: is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise NotComparable(f"{path}: expected an object")
    return values


def field(values, path, *keys):
    for key in keys:
        if not isinstance(values, dict) or key not in values:
            raise NotComparable(f"{path}: has no '{'.'.join(keys)}'")
        values = values[key]
    return values


def read_run(folder):
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise NotComparable(f"{folder}: there is no such folder")
    model = folder / "model"
    report = read_json(model / "report.json")
    summary = read_json(folder / "summary.json")
    files = {name: model / name for name in (OURS, SAME, FP32) if (model / name).exists()}
    for name in (OURS, SAME):
        if name not in files:
            raise NotComparable(f"{model / name}: there is no such file")
    accuracy = {OURS: field(report, model / "report.json", "accuracy"),
                FP32: field(summary, folder / "summary.json", "dense_accuracy")}
    kind = "int8" if b"DequantizeLinear" in files[SAME].read_bytes() else "fp32"
    return Run(str(folder), files, kind, field(report, model / "report.json", "hashes", "model_sha256"), accuracy)


def percentile(ordered, fraction):
    return ordered[min(int(fraction * len(ordered)), len(ordered) - 1)]


class Ours:
    """coppice-measure on a .cpk: a process of its own at every measurement."""

    def __init__(self, program, path):
        self.command = [str(program), str(path)]

    def measure(self, runs):
        done = subprocess.run([*self.command, str(runs)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(self.command)}: exit code {done.returncode}: {done.stderr.strip()}")
        line = json.loads(done.stdout)
        return {"p50": line["p50_us"], "p999": line["p999_us"], "spin_p999": line["spin_p999_us"]}


class Session:
    """An ONNX model in onnxruntime. Input and output stay bound, so that a call costs as little as Python allows."""

    def __init__(self, model, where):
        import numpy
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        (given,) = self.session.get_inputs()
        (wanted,) = self.session.get_outputs()
        if given.type != "tensor(float)":
            raise NotComparable(f"{where}: expected an input of tensor(float), got {given.type}")
        self.shape = [1, *given.shape[1:]]
        size = 1
        for axis in self.shape:
            size *= axis
        # What coppice-measure takes.
        sample = (numpy.arange(size, dtype=numpy.uint64) * numpy.uint64(2654435761) % numpy.uint64(256)) / 255.0
        sample = sample.astype(numpy.float32).reshape(self.shape)
        (logits,) = self.session.run(None, {given.name: sample})
        self.values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in (sample, numpy.empty_like(logits))]
        self.binding = self.session.io_binding()
        self.binding.bind_ortvalue_input(given.name, self.values[0])
        self.binding.bind_ortvalue_output(wanted.name, self.values[1])

    def model_sha256(self):
        return self.session.get_modelmeta().custom_metadata_map.get("coppice.model_sha256")

    def measure(self, runs):
        call, binding, clock = self.session.run_with_iobinding, self.binding, time.perf_counter_ns
        times = []
        for i in range(-(runs // 20 + 1), runs):
            begin = clock()
            call(binding)
            end = clock()
            if i >= 0:
                times.append((end - begin) / 1e3)
        times.sort()
        return {"p50": percentile(times, 0.5), "p999": percentile(times, 0.999)}


def identity_model(shape):
    """An ONNX file that gives back its input, in the encoding of protocol buffers: numbers are varints, the rest has a length."""

    def varint(value):
        out = b""
        while value > 127:
            out += bytes([value & 127 | 128])
            value >>= 7
        return out + bytes([value])

    def entry(number, value):
        if isinstance(value, int):
            return varint(number << 3) + varint(value)
        value = value.encode() if isinstance(value, str) else value
        return varint(number << 3 | 2) + varint(len(value)) + value

    def tensor(name):
        axes = b"".join(entry(1, entry(1, axis)) for axis in shape)
        return entry(1, name) + entry(2, entry(1, entry(1, 1) + entry(2, axes)))  # 1: float

    node = entry(1, "input") + entry(2, "output") + entry(4, "Identity")
    graph = entry(1, node) + entry(2, "identity") + entry(11, tensor("input")) + entry(12, tensor("output"))
    return entry(1, 8) + entry(8, entry(1, "") + entry(2, 17)) + entry(7, graph)  # IR 8, opset 17


def compare(run, program, pairs, runs):
    """Every pair's percentiles by form, and what a call costs onnxruntime without a model."""
    subjects = {OURS: Ours(program, run.files[OURS])}
    for name in (SAME, FP32):
        if name in run.files:
            subjects[name] = Session(str(run.files[name]), run.files[name])
    if subjects[SAME].model_sha256() != run.model_sha256:
        raise NotComparable(f"{run.files[SAME]}: is not the model of {run.files[OURS]}: its hash is "
                            f"{subjects[SAME].model_sha256()}, not {run.model_sha256}")
    if runs is None:
        slowest = max(subject.measure(10)["p50"] for subject in subjects.values())
        runs = max(LEAST_RUNS, min(MOST_RUNS, int(SECONDS * 1e6 / slowest)))
    measured = {name: [] for name in subjects}
    for pair in range(pairs):
        order = list(subjects)
        first = pair % len(order)  # nobody is always the first
        for name in order[first:] + order[:first]:
            measured[name].append(subjects[name].measure(runs))
    empty = Session(identity_model(subjects[SAME].shape), "identity").measure(runs)["p50"]
    return {"runs": runs, "empty_call_us": empty, "pairs": measured}


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def result_of(run, outcome):
    forms = {}
    for name, pairs in outcome["pairs"].items():
        form = {"file_bytes": run.files[name].stat().st_size, "accuracy": run.accuracy.get(name)}
        for key in pairs[0]:
            form[f"{key}_us"] = spread([pair[key] for pair in pairs])
        form["times_ours"] = spread([pair["p50"] / ours["p50"] for pair, ours in zip(pairs, outcome["pairs"][OURS])])
        forms[name] = form
    return {"run": run.label, "kind": run.kind, "runs": outcome["runs"], "empty_call_us": outcome["empty_call_us"], "forms": forms}


def cells_of(result, name):
    form = result["forms"][name]
    accuracy = "" if form["accuracy"] is None else f"{100 * form['accuracy']:.2f}%"
    if name == SAME:
        accuracy = "same model"
    ratio = form["times_ours"]
    spin = f"{form['spin_p999_us']['median']:.1f}" if "spin_p999_us" in form else ""
    times = "" if name == OURS else f"{ratio['median']:.2f} x ({ratio['min']:.2f} to {ratio['max']:.2f})"
    return [TITLES[name].format(result["kind"]), f"{form['file_bytes']:,}", accuracy, f"{form['p50_us']['median']:.1f}",
            f"{form['p999_us']['median']:.1f}", spin, times]


def table_text(results):
    rows = [["", "bytes", "accuracy", "p50, us", "p99.9, us", "spin's p99.9", "p50 over coppice's"]]
    for result in results:
        rows.append([result["run"]] + [""] * 6)
        rows += [cells_of(result, name) for name in (FP32, SAME, OURS) if name in result["forms"]]
    widths = [max(len(row[c]) for row in rows if row[1] or c > 0) for c in range(7)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def machine():
    cpu, flags = "unknown processor", set()
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            cpu = value.strip()
        if key.strip() == "flags":
            flags = set(value.split())
            break
    return {"cpu": cpu, "has_vnni": bool(flags & {"avx512_vnni", "avx_vnni"})}


def whole_number(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {text}")
    return value


def arguments_of(argv):
    root = pathlib.Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(prog="launch/compare", description=__doc__.splitlines()[0])
    parser.add_argument("runs_folders", nargs="+", metavar="RUN", help="a folder that `coppice run` finished")
    parser.add_argument("--pairs", type=whole_number, default=5, help="measurements of everybody in turn (5)")
    parser.add_argument("--runs", type=whole_number, help="samples a measurement (1,000; fewer of slow models)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also write what was measured")
    parser.add_argument("--measure", type=pathlib.Path, metavar="PROGRAM", default=root / "build/release/coppice-measure",
                        help="coppice-measure (build/release/coppice-measure)")
    return parser.parse_args(argv)


def main(argv):
    arguments = arguments_of(argv)
    try:
        runs = [read_run(folder) for folder in arguments.runs_folders]
        if not os.access(arguments.measure, os.X_OK):
            raise NotComparable(f"{arguments.measure}: cannot be run; launch/build makes it, --measure names another")
    except NotComparable as error:
        print(f"launch/compare: {error}", file=sys.stderr)
        return 2
    import onnxruntime

    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})  # coppice-measure inherits it
    gc.disable()
    try:
        results = [result_of(run, compare(run, arguments.measure, arguments.pairs, arguments.runs)) for run in runs]
    except NotComparable as error:
        print(f"launch/compare: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:  # of coppice-measure, or onnxruntime about a file
        print(f"launch/compare: {error}", file=sys.stderr)
        return 1
    facts = {**machine(), "core": core, "onnxruntime": onnxruntime.__version__, "pairs": arguments.pairs}
    print(f"{facts['cpu']} {'with' if facts['has_vnni'] else 'without'} VNNI, core {core}; onnxruntime "
          f"{facts['onnxruntime']}, all optimizations; one thread, single samples, medians of {arguments.pairs} turns of "
          f"{' and '.join(sorted({format(r['runs'], ',') for r in results}))} runs\n")
    print(table_text(results))
    empty = statistics.median(result["empty_call_us"] for result in results)
    print(f"spin: a loop in registers, as long as coppice's p50, in turn with it; about {empty:.1f} us of onnxruntime's times are "
          "the call itself, as a graph without work takes them")
    if arguments.json:
        arguments.json.write_text(json.dumps({**facts, "results": results}, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
