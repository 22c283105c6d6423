"""Draws finished sweeps: what is left of the dense accuracy against the size of the model or the bytes sent up.

  launch/plot SWEEP --out picture.svg [--series KEY] [--panel KEY] [--against size|uplink]

SWEEP is a folder that `coppice sweep` finished; KEY is one of the keys that it varied. A line for every value of
--series, or one, a panel for every value of --panel, a point for what the other keys set, the mean over seeds with its standard
deviation. Reads sweep.json (docs/run_folder.md) and nothing else.
"""

import dataclasses

from plot_common import COLOURS, MARKERS, NotARun, bytes_text, number, read_json, read_text, saved_figure


@dataclasses.dataclass
class Point:
    place: float  # times smaller than the dense model, or bytes sent up
    retention: float  # percent
    deviation: float  # over seeds; 0 for one run


def is_sweep(folder):
    return (folder / "sweep.json").exists()


def mean_of(group, field, where):
    return number(group.get(field) or {}, "mean", f"{where}: {field}")


def point_of(group, against, where):
    retention = 100.0 * mean_of(group, "retention", where)
    deviation = 100.0 * (group["retention"].get("standard_deviation") or 0.0)
    if against == "uplink":
        return Point(mean_of(group, "bytes_up", where) - mean_of(group, "control_bytes_up", where), retention, deviation)
    return Point(mean_of(group, "dense_bytes", where) / mean_of(group, "model_bytes", where), retention, deviation)


def read_sweep(folder, series, panel, against):
    """{panel's value: {series' value: [Point, by place]}}, values in the order of the sweep."""
    where = folder / "sweep.json"
    sweep = read_json(read_text(folder, "sweep.json"), where)
    if sweep.get("is_finished") is not True:
        raise NotARun(f"{where}: the sweep is not finished; give the same coppice sweep command again")
    panels = {}
    for group in sweep["groups"]:
        values = group["values"]
        for key in filter(None, (series, panel)):
            if key not in values:
                raise NotARun(f"{where}: expected one of the varied keys {', '.join(sorted(values))}; got {key}")
        lines = panels.setdefault(values[panel] if panel else "", {})
        lines.setdefault(values[series] if series else "", []).append(point_of(group, against, where))
    for lines in panels.values():
        for points in lines.values():
            points.sort(key=lambda point: point.place)
    return panels


def draw_panel(axes, title, lines, against, ticker):
    for index, (label, points) in enumerate(lines.items()):
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        axes.errorbar([point.place for point in points], [point.retention for point in points],
                      yerr=[point.deviation for point in points], label=label, color=colour, marker=marker,
                      markersize=6, linewidth=1.6, elinewidth=1.0, capsize=3)
    base, subs = (2, (1,)) if against == "size" else (10, (1, 2, 5))
    axes.set_xscale("log", base=base)
    axes.xaxis.set_major_locator(ticker.LogLocator(base=base, subs=subs))
    shown = (lambda value, _: f"{value:g}x") if against == "size" else (lambda value, _: bytes_text(value))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(shown))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_xlabel("times smaller than the dense model (log scale)" if against == "size"
                    else "bytes sent up in the whole run (log scale)")
    axes.set_title(title)


def draw_sweep(folder, out, series, panel, against):
    panels = read_sweep(folder, series, panel, against)
    with saved_figure(out) as (pyplot, ticker):
        figure, all_axes = pyplot.subplots(1, len(panels), figsize=(4.8 * max(len(panels), 1.4), 4.4), sharey=True,
                                           squeeze=False, layout="constrained")
        for axes, (value, lines) in zip(all_axes[0], panels.items()):
            draw_panel(axes, f"{panel} = {value}" if panel else "", lines, against, ticker)
        all_axes[0][0].set_ylabel("of the dense test accuracy (%)")
        handles, labels = all_axes[0][0].get_legend_handles_labels()
        if series:
            figure.legend(handles, labels, title=series, loc="outside lower center", ncols=min(len(labels), 4),
                          frameon=False)
