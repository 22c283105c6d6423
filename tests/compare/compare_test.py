"""launch/compare.py on run folders made here.

  compare_test.py folders   what is read and refused, and the table
  compare_test.py times     what is measured; exits with 77 where onnxruntime is not installed
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
import compare  # noqa: E402

REPORT = {"accuracy": 0.75, "hashes": {"model_sha256": "abc"}}
LINE = {"p50_us": 2.0, "p99_us": 3.0, "p999_us": 4.0, "spin_p50_us": 2.0, "spin_p99_us": 2.5, "spin_p999_us": 3.5}


def metadata(key, value):
    pair = bytes([0x0A, len(key)]) + key.encode() + bytes([0x12, len(value)]) + value.encode()
    return bytes([0x72, len(pair)]) + pair


def onnx_model(sha256, operations="DequantizeLinear"):
    """What it holds is in its metadata, for a script that looks no closer."""
    return (compare.identity_model([1, 3, 2]) + metadata("coppice.model_sha256", sha256) +
            metadata("operations", operations))


class RunFolders(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.place.name)
        self.addCleanup(self.place.cleanup)
        self.program = self.folder / "measure"
        self.measures(f"echo '{json.dumps(LINE)}'")

    def measures(self, command):
        self.program.write_text(f"#!/bin/sh\n{command}\n")
        self.program.chmod(0o755)

    def write_run(self, name="run", report=REPORT, has_dense=True, sha256="abc"):
        model = self.folder / name / "model"
        model.mkdir(parents=True)
        (model.parent / "summary.json").write_text(json.dumps({"dense_accuracy": 0.8 if has_dense else None}))
        (model / "report.json").write_text(json.dumps(report))
        (model / "model.cpk").write_bytes(b"12345")
        (model / "model.onnx").write_bytes(onnx_model(sha256))
        if has_dense:
            (model / "dense.onnx").write_bytes(onnx_model("d"))
        return model.parent

    def run_main(self, *arguments):
        out, said = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
            try:
                status = compare.main([*map(str, arguments), "--measure", str(self.program)])
            except SystemExit as error:
                status = error.code
        return status, out.getvalue(), said.getvalue()


class FolderTest(RunFolders):
    def refused(self, *arguments):
        status, out, said = self.run_main(*arguments)
        self.assertEqual((status, out), (2, ""))
        return said

    def test_folders_that_are_no_finished_runs_are_named(self):
        self.assertIn("nowhere: there is no such folder", self.refused(self.folder / "nowhere"))
        run = self.write_run()
        (run / "model" / "model.cpk").unlink()
        self.assertIn("model.cpk: there is no such file", self.refused(run))
        (run / "model" / "report.json").unlink()
        self.assertIn("report.json: there is no such file; the run is not finished", self.refused(run))

    def test_damaged_files_are_named(self):
        run = self.write_run()
        (run / "model" / "report.json").write_text("{")
        self.assertIn("report.json: is not JSON", self.refused(run))
        other = self.write_run("other", {"accuracy": 0.5, "hashes": {}})
        self.assertIn("report.json: has no 'hashes.model_sha256'", self.refused(other))

    def test_wrong_use_is_refused(self):
        self.assertIn("expected at least 1, got 0", self.refused(self.write_run(), "--pairs", "0"))
        self.program.unlink()
        self.assertIn("measure: cannot be run; launch/build makes it", self.refused(self.folder / "run"))

    def test_ratios_are_of_pairs_and_not_of_medians(self):
        run = compare.read_run(self.write_run())
        ours = [{"p50": p50, "p999": 9.0, "spin_p999": 8.0} for p50 in (10.0, 20.0, 30.0)]
        theirs = [{"p50": p50, "p999": 90.0} for p50 in (80.0, 40.0, 90.0)]
        outcome = {"runs": 100, "empty_call_us": 1.0,
                   "pairs": {compare.OURS: ours, compare.SAME: theirs, compare.FP32: theirs}}
        forms = compare.result_of(run, outcome)["forms"]
        self.assertEqual(forms[compare.SAME]["times_ours"], {"median": 3.0, "min": 2.0, "max": 8.0})
        self.assertEqual(forms[compare.OURS]["p50_us"], {"median": 20.0, "min": 10.0, "max": 30.0})
        self.assertEqual((forms[compare.OURS]["file_bytes"], forms[compare.OURS]["accuracy"]), (5, 0.75))
        self.assertEqual(forms[compare.FP32]["accuracy"], 0.8)
        table = compare.table_text([compare.result_of(run, outcome)])
        self.assertIn("3.00 x (2.00 to 8.00)", table)
        self.assertLess(table.index("onnxruntime, fp32"), table.index("coppice, int8"))
        (run.files[compare.SAME]).write_bytes(onnx_model("abc", "Gemm"))
        plain = compare.table_text([compare.result_of(compare.read_run(self.folder / "run"), outcome)])
        self.assertNotIn("int8", plain)
        self.assertIn("coppice, fp32", plain)

    def test_percentiles_are_those_of_coppice_measure(self):
        self.assertEqual(compare.percentile(list(range(1000)), 0.999), 999)
        self.assertEqual(compare.percentile(list(range(1000)), 0.5), 500)
        self.assertEqual(compare.percentile([7], 0.999), 7)


class TimeTest(RunFolders):
    def test_every_form_is_measured_and_written(self):
        out = self.folder / "out.json"
        status, text, said = self.run_main(self.write_run(), "--runs", "20", "--pairs", "3", "--json", out)
        self.assertEqual((status, said), (0, ""))
        self.assertIn("medians of 3 turns of 20 runs", text)
        (result,) = json.loads(out.read_text())["results"]
        self.assertEqual(set(result["forms"]), {compare.OURS, compare.SAME, compare.FP32})
        self.assertEqual(result["forms"][compare.OURS]["spin_p999_us"], {"median": 3.5, "min": 3.5, "max": 3.5})
        self.assertGreater(result["forms"][compare.SAME]["p50_us"]["min"], 0.0)
        self.assertGreaterEqual(result["forms"][compare.SAME]["p999_us"]["min"], result["forms"][compare.SAME]["p50_us"]["min"])
        self.assertGreater(result["empty_call_us"], 0.0)

    def test_runs_without_control_have_two_rows(self):
        status, text, _ = self.run_main(self.write_run(has_dense=False), "--runs", "20")
        self.assertEqual(status, 0)
        self.assertNotIn("onnxruntime, fp32", text)

    def test_another_model_is_not_compared(self):
        status, _, said = self.run_main(self.write_run(sha256="other"), "--runs", "20")
        self.assertEqual(status, 2)
        self.assertIn("its hash is other, not abc", said)

    def test_what_coppice_measure_says_is_passed_on(self):
        self.measures("echo 'no good' >&2; exit 1")
        status, _, said = self.run_main(self.write_run(), "--runs", "20")
        self.assertEqual(status, 1)
        self.assertIn("exit code 1: no good", said)


def main(mode):
    if mode == "times" and importlib.util.find_spec("onnxruntime") is None:
        print("skipped: onnxruntime is not installed; launch/compare installs it on its first use")
        return SKIPPED
    case = {"folders": FolderTest, "times": TimeTest}[mode]
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    return 0 if unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
