"""What the pictures of runs and of sweeps share: reading, colours, and a figure that is the same wherever it is drawn."""

import contextlib
import json

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")  # Okabe and Ito
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


class NotARun(Exception):
    """A folder that cannot be drawn; the text says which and why."""


def number(values, key, where):
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise NotARun(f"{where}: expected a number as '{key}', got {json.dumps(value)}")
    return value


def read_json(text, where):
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise NotARun(f"{where}: is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise NotARun(f"{where}: expected an object")
    return values


def read_text(folder, name):
    try:
        return (folder / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotARun(f"{folder / name}: cannot be read: {error}") from error


def bytes_text(value):
    """1500000 -> "1.5 MB", in powers of 1000."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= factor:
            return f"{value / factor:g} {unit}"
    return f"{value:g} B"


@contextlib.contextmanager
def saved_figure(out):
    """Gives pyplot and ticker; the figure that is drawn with them is written to `out`, .svg or .png, and closed.

    Nothing of the machine or the moment is in it: no salt drawn at random, no date, no settings of the user's.
    """
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    matplotlib.rcdefaults()
    settings = {"svg.hashsalt": "coppice", "font.size": 11, "axes.titlesize": 12, "axes.grid": True,
                "grid.color": "#e0e0e0", "axes.axisbelow": True, "axes.spines.top": False,
                "axes.spines.right": False}
    with matplotlib.rc_context(settings):
        yield pyplot, ticker
        pyplot.savefig(out, dpi=150, metadata={"Date": None} if out.suffix == ".svg" else None)
        pyplot.close()
