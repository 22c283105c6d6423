"""Draws finished runs: test accuracy against the size of the model, and against the bytes sent while it learned.

  launch/plot RUN [RUN ...] --out picture.svg|picture.png
  launch/plot SWEEP --out picture.svg|picture.png [--series KEY] [--panel KEY] [--against size|uplink]

RUN is a folder that `coppice run` finished. Reads summary.json and metrics.jsonl (docs/run_folder.md) and nothing else; a
sweep's folder is drawn as plot_sweep.py says.
The same runs give the same SVG, byte by byte. Exit codes: 0, 2 wrong use or a folder that is no finished run.
"""

import argparse
import dataclasses
import pathlib
import sys

import plot_sweep
from plot_common import COLOURS, MARKERS, NotARun, bytes_text, number, read_json, read_text, saved_figure

SMALLEST_SPAN = 5.0  # percent, so that a difference of nothing does not fill the picture


@dataclasses.dataclass
class Curve:
    """Test accuracy after a round, in percent, against the bytes that all rounds of the track sent until then."""

    bytes_sent: list
    accuracy: list


@dataclasses.dataclass
class Run:
    label: str
    size: tuple  # bytes, percent
    dense_size: tuple | None  # of the control, or of the run it was compared with
    curve: Curve
    control: Curve | None  # of its own control


def curve_of(lines, where):
    """Rounds without an evaluation count their bytes and have no point."""
    curve = Curve([], [])
    sent = 0
    for line in lines:
        sent += number(line, "bytes_up", where) + number(line, "bytes_down", where)
        if line.get("test_accuracy") is not None:
            curve.bytes_sent.append(sent)
            curve.accuracy.append(100.0 * number(line, "test_accuracy", where))
    return curve


def read_run(folder, label):
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise NotARun(f"{folder}: there is no such folder")
    if not (folder / "summary.json").exists():
        if (folder / "config.resolved.yaml").exists():
            raise NotARun(f"{folder}: the run is not finished: it has no summary.json; go on with coppice run --resume")
        raise NotARun(f"{folder}: not the folder of a run: it has no summary.json")
    where = folder / "summary.json"
    summary = read_json(read_text(folder, "summary.json"), where)
    size = number(summary, "model_bytes", where), 100.0 * number(summary, "final_accuracy", where)
    dense_size = None
    if summary.get("dense_accuracy") is not None:
        dense_size = number(summary, "dense_bytes", where), 100.0 * number(summary, "dense_accuracy", where)
    where = folder / "metrics.jsonl"
    lines = [read_json(line, where) for line in read_text(folder, "metrics.jsonl").splitlines()]
    control = [line for line in lines if line.get("phase") == "control"]
    own = [line for line in lines if line.get("phase") != "control"]
    return Run(label, size, dense_size, curve_of(own, where), curve_of(control, where) if control else None)


def labels_of(folders):
    """The folders' names; where two are the same, the paths as they were given."""
    names = [pathlib.Path(folder).resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def draw_sizes(axes, runs, ticker):
    for index, run in enumerate(runs):
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        if run.dense_size:
            axes.plot(*zip(run.dense_size, run.size), color=colour, linestyle=":", linewidth=1.2, zorder=1)
            axes.plot(*run.dense_size, color=colour, marker=marker, markerfacecolor="white", markersize=7, linestyle="")
        axes.plot(*run.size, color=colour, marker=marker, markersize=8, linestyle="")
    sizes = [point[0] for run in runs for point in (run.size, run.dense_size) if point]
    axes.set_xscale("log")
    axes.set_xlim(min(sizes) / 1.6, max(sizes) * 1.6)
    shown = [point[1] for run in runs for point in (run.size, run.dense_size) if point]
    missing = max(0.0, SMALLEST_SPAN - (max(shown) - min(shown))) / 2
    axes.set_ylim(min(shown) - missing - 0.5, max(shown) + missing + 0.5)
    axes.xaxis.set_major_locator(ticker.LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: bytes_text(value)))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_xlabel("size of the model (log scale)")
    axes.set_ylabel("test accuracy (%)")
    axes.set_title("Accuracy against size")


def draw_curves(axes, runs, ticker):
    for index, run in enumerate(runs):
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        if run.control:
            axes.plot(run.control.bytes_sent, run.control.accuracy, color=colour, linestyle="--", linewidth=1.3,
                      marker=marker, markerfacecolor="white", markersize=4)
        axes.plot(run.curve.bytes_sent, run.curve.accuracy, color=colour, linewidth=1.8, marker=marker, markersize=4)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: bytes_text(value)))
    axes.set_xlabel("bytes sent until then, up and down")
    axes.set_ylabel("test accuracy (%)")
    axes.set_title("Accuracy against bytes sent")


def legend_entries(runs, lines):
    entries = []
    for index, run in enumerate(runs):
        style = {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
        entries.append(lines.Line2D([], [], label=run.label, **style))
        if run.dense_size or run.control:
            entries.append(lines.Line2D([], [], label=f"{run.label}: dense control", linestyle="--",
                                        markerfacecolor="white", **style))
    return entries


def draw(runs, out):
    with saved_figure(out) as (pyplot, ticker):
        from matplotlib import lines
        entries = legend_entries(runs, lines)
        columns = min(len(runs) if len(runs) > 1 else len(entries), 4)
        rows = -(-len(entries) // columns)
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.6, 4.0 + 0.25 * rows), layout="constrained")
        draw_sizes(left, runs, ticker)
        draw_curves(right, runs, ticker)
        figure.legend(handles=entries, loc="outside lower center", ncols=columns, frameon=False)


def main(arguments):
    parser = argparse.ArgumentParser(prog="launch/plot", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="the folder of a finished run, or of one sweep")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="the picture, .svg or .png; replaced if there")
    parser.add_argument("--series", metavar="KEY", help="of a sweep: the key with a line for every value (default: one line)")
    parser.add_argument("--panel", metavar="KEY", help="of a sweep: the key with a panel for every value")
    parser.add_argument("--against", choices=("size", "uplink"), default="size", help="of a sweep: the other axis")
    options = parser.parse_args(arguments)
    if options.out.suffix not in (".svg", ".png"):
        parser.error(f"--out {options.out}: expected a name that ends in .svg or .png")
    folder = pathlib.Path(options.runs[0])
    sweeps = len(options.runs) == 1 and plot_sweep.is_sweep(folder)
    if options.series and not sweeps:
        parser.error("--series is for the folder of one sweep")
    try:
        if sweeps:
            plot_sweep.draw_sweep(folder, options.out, options.series, options.panel, options.against)
            print(f"picture  {options.out}")
            return 0
        runs = [read_run(folder, label) for folder, label in zip(options.runs, labels_of(options.runs))]
        draw(runs, options.out)
    except (NotARun, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"picture  {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
