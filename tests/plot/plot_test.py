"""launch/plot.py on run folders made here.

  plot_test.py folders    what is read and refused
  plot_test.py pictures   what is drawn; exits with 77 where matplotlib is not installed
"""

import contextlib
import importlib.util
import io
import json
import pathlib
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77

sys.path.insert(0, str(SOURCE / "launch"))
sys.dont_write_bytecode = True
import plot  # noqa: E402
import plot_sweep  # noqa: E402

SUMMARY = {"final_accuracy": 0.8, "dense_accuracy": 0.9, "model_bytes": 2000, "dense_bytes": 16000}
ROUNDS = [("control", 0.5, 100), ("control", 0.9, 100), ("warmup", None, 100), ("quantize", 0.8, 50)]


def write_run(folder, summary=None, rounds=None):
    folder.mkdir()
    (folder / "config.resolved.yaml").write_text("name: tiny\n")
    (folder / "summary.json").write_text(json.dumps(SUMMARY if summary is None else summary))
    lines = [{"phase": phase, "test_accuracy": accuracy, "bytes_up": sent, "bytes_down": 2 * sent}
             for phase, accuracy, sent in (ROUNDS if rounds is None else rounds)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def write_sweep(folder, is_finished=True):
    """Two allocators at two sizes and two partitions; 'a' keeps more at both."""
    folder.mkdir()
    groups = []
    for alpha, loss in (("0.5", 0.0), ("0.1", 0.1)):
        for allocator, kept in (("a", 0.99), ("b", 0.9)):
            for size in (1000, 4000):
                figures = {"retention": kept - loss, "model_bytes": size, "dense_bytes": 16000, "bytes_up": 5e6,
                           "control_bytes_up": 3e6}
                entry = {name: {"mean": mean, "standard_deviation": 0.01} for name, mean in figures.items()}
                groups.append({"values": {"alpha": alpha, "allocator": allocator, "max": str(size)}, **entry})
    (folder / "sweep.json").write_text(json.dumps({"is_finished": is_finished, "groups": groups}))
    return folder


class FolderTest(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.place.name)
        self.addCleanup(self.place.cleanup)

    def refused(self, *runs, out="out.svg"):
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            try:
                status = plot.main([*map(str, runs), "--out", str(self.folder / out)])
            except SystemExit as error:
                status = error.code
        self.assertEqual(status, 2)
        self.assertFalse((self.folder / out).exists())
        return said.getvalue()

    def test_curves_add_up_bytes_by_track(self):
        run = plot.read_run(write_run(self.folder / "a"), "a")
        self.assertEqual(run.control, plot.Curve([300, 600], [50.0, 90.0]))
        self.assertEqual(run.curve, plot.Curve([450], [80.0]))  # the round without an evaluation has sent 300
        self.assertEqual((run.size, run.dense_size), ((2000, 80.0), (16000, 90.0)))

    def test_runs_without_control_have_none(self):
        summary = {**SUMMARY, "dense_accuracy": None}
        run = plot.read_run(write_run(self.folder / "a", summary, ROUNDS[2:]), "a")
        self.assertIsNone(run.control)
        self.assertIsNone(run.dense_size)

    def test_runs_of_one_name_are_told_apart_by_their_paths(self):
        self.assertEqual(plot.labels_of(["x/a", "x/b"]), ["a", "b"])
        self.assertEqual(plot.labels_of(["x/a", "y/a"]), ["x/a", "y/a"])

    def test_folders_that_are_no_finished_runs_are_named(self):
        self.assertIn("nowhere: there is no such folder", self.refused(self.folder / "nowhere"))
        self.assertIn("not the folder of a run", self.refused(self.folder))
        half = write_run(self.folder / "half")
        (half / "summary.json").unlink()
        self.assertIn("half: the run is not finished", self.refused(half))

    def test_damaged_files_are_named(self):
        run = write_run(self.folder / "a")
        (run / "metrics.jsonl").write_text('{"phase": "train"')
        self.assertIn("metrics.jsonl: is not JSON", self.refused(run))
        run = write_run(self.folder / "b", {**SUMMARY, "model_bytes": "many"})
        self.assertIn("summary.json: expected a number as 'model_bytes', got \"many\"", self.refused(run))

    def test_sweeps_are_read_by_panel_series_and_place(self):
        panels = plot_sweep.read_sweep(write_sweep(self.folder / "s"), "allocator", "alpha", "size")
        self.assertEqual(list(panels), ["0.5", "0.1"])
        self.assertEqual([point.place for point in panels["0.5"]["a"]], [4.0, 16.0])
        self.assertAlmostEqual(panels["0.1"]["b"][0].retention, 80.0)
        self.assertAlmostEqual(panels["0.1"]["b"][0].deviation, 1.0)
        panels = plot_sweep.read_sweep(self.folder / "s", "allocator", None, "uplink")
        self.assertEqual([len(points) for points in panels[""].values()], [4, 4])
        self.assertEqual(panels[""]["a"][0].place, 2e6)  # without what the control sent
        panels = plot_sweep.read_sweep(self.folder / "s", None, "alpha", "size")
        self.assertEqual([len(points) for points in panels["0.1"].values()], [4])

    def test_sweeps_that_cannot_be_drawn_say_why(self):
        sweep = write_sweep(self.folder / "s")
        self.assertIn("one of the varied keys allocator, alpha, max; got colour",
                      self.refused(sweep, "--series", "colour"))
        half = write_sweep(self.folder / "half", is_finished=False)
        self.assertIn("sweep.json: the sweep is not finished", self.refused(half, "--series", "allocator"))
        self.assertIn("--series is for the folder of one sweep",
                      self.refused(write_run(self.folder / "a"), "--series", "allocator"))

    def test_other_endings_are_refused(self):
        run = write_run(self.folder / "a")
        self.assertIn(".svg or .png", self.refused(run, out="out.gif"))


class PictureTest(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.place.name)
        self.addCleanup(self.place.cleanup)

    def draw(self, name, *runs):
        out = self.folder / name
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(plot.main([*map(str, runs), "--out", str(out)]), 0)
        return out.read_bytes()

    def test_same_runs_give_the_same_bytes(self):
        run = write_run(self.folder / "a")
        other = write_run(self.folder / "b", {**SUMMARY, "dense_accuracy": None}, ROUNDS[2:])
        first, second = self.draw("one.svg", run, other), self.draw("two.svg", run, other)
        self.assertEqual(first, second)
        self.assertIn(b"</svg>", first)
        self.assertNotIn(b"<dc:date>", first)
        self.assertNotEqual(first, self.draw("three.svg", run))

    def test_sweeps_are_drawn(self):
        sweep = write_sweep(self.folder / "s")
        first = self.draw("one.svg", sweep, "--series", "allocator", "--panel", "alpha")
        self.assertEqual(first, self.draw("two.svg", sweep, "--series", "allocator", "--panel", "alpha"))
        self.assertIn(b"alpha = 0.1", first)
        self.assertNotEqual(first, self.draw("line.svg", sweep))
        self.assertNotEqual(first, self.draw("three.svg", sweep, "--series", "allocator", "--against", "uplink"))

    def test_runs_are_drawn_as_png_too(self):
        self.assertTrue(self.draw("a.png", write_run(self.folder / "a")).startswith(b"\x89PNG"))

    def test_runs_without_any_evaluation_before_the_end_are_drawn(self):
        rounds = [("train", None, 10), ("train", 0.1, 10)]
        self.draw("a.svg", write_run(self.folder / "a", {**SUMMARY, "dense_accuracy": None}, rounds))

    def test_many_runs_share_colours(self):
        self.draw("a.svg", *[write_run(self.folder / f"run{n}") for n in range(9)])


def main(mode):
    if mode == "pictures" and importlib.util.find_spec("matplotlib") is None:
        print("skipped: matplotlib is not installed; launch/plot installs it on its first use")
        return SKIPPED
    case = {"folders": FolderTest, "pictures": PictureTest}[mode]
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    return 0 if unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
