#!/usr/bin/env python3
"""Runs clang-format or clang-tidy over our sources, one file at a time on every core, and remembers what was clean.

    lint.py format ROOT              every .h, .cpp and .cu file formatted as .clang-format says
    lint.py tidy ROOT BUILD_DIR      every .cpp file of BUILD_DIR/compile_commands.json clean under .clang-tidy

Files that see LibTorch or GoogleTest get the shorter list LIGHT: clang-tidy 14 matches every check against every system
header, which costs 25 to 45 s a file there instead of 13 with LibTorch, and 9 instead of 4 with GoogleTest.

A tidy result is remembered in BUILD_DIR/lint under the hash of everything it depends on: the file, each of our
headers it reaches, the checks, the compiler's flags and clang-tidy's version. Exit 1 if there is a finding.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

FOLDERS = "algorithms client comm coordinator core data deploy kernels launch models tests".split()
LIGHT = """bugprone-argument-comment bugprone-copy-constructor-init bugprone-dangling-handle bugprone-fold-init-type
    bugprone-integer-division bugprone-misplaced-widening-cast bugprone-sizeof-expression
    bugprone-too-small-loop-variable bugprone-unhandled-self-assignment bugprone-use-after-move cppcoreguidelines-slicing
    cppcoreguidelines-virtual-class-destructor google-build-using-namespace misc-definitions-in-headers
    modernize-use-override performance-for-range-copy performance-inefficient-vector-operation
    performance-move-const-arg performance-unnecessary-copy-initialization performance-unnecessary-value-param""".split()
LARGE = re.compile(r"^\s*#\s*include\s*<(ATen|torch|c10|gtest)/", re.M)
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)


def sources(root, suffixes):
    found = (path for folder in FOLDERS for path in (root / folder).rglob("*"))
    return sorted(path for path in found if path.suffix in suffixes)


def format_one(root, path):
    result = subprocess.run(
        ["clang-format", "--dry-run", "-Werror", "--ferror-limit=1", str(path)], capture_output=True, text=True)
    return "" if result.returncode == 0 else f"{path.relative_to(root)}: not formatted; run launch/format\n"


def check_format(root):
    paths = sources(root, {".h", ".cpp", ".cu"})
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        findings = [text for text in pool.map(lambda path: format_one(root, path), paths) if text]
    print("".join(findings), end="")
    return findings, f"{len(paths)} files"


class Tidy:
    def __init__(self, root, build):
        self.root = root
        self.cache = build / "lint"
        self.cache.mkdir(exist_ok=True)
        version = subprocess.run(["clang-tidy", "--version"], capture_output=True, text=True, check=True).stdout
        self.rules = version.encode() + (root / ".clang-tidy").read_bytes() + " ".join(LIGHT).encode()
        self.reached = {}
        self.texts = {}

    def text(self, path):
        if path not in self.texts:
            self.texts[path] = path.read_text(encoding="utf-8")
        return self.texts[path]

    def headers(self, path):
        """Our files that `path` includes, directly or not."""
        if path not in self.reached:
            self.reached[path] = set()
            for name in INCLUDE.findall(self.text(path)):
                header = self.root / name
                if header.is_file():
                    self.reached[path] |= {header} | self.headers(header)
        return self.reached[path]

    def stamp(self, entry):
        path = pathlib.Path(entry["file"])
        digest = hashlib.sha256(self.rules + " ".join(flags_of(entry)).encode())
        for file in [path] + sorted(self.headers(path)):
            digest.update(self.text(file).encode())
        return self.cache / digest.hexdigest()

    def sees_large_headers(self, path):
        return any(LARGE.search(self.text(file)) for file in {path} | self.headers(path))

    def check(self, entry):
        stamp = self.stamp(entry)
        if stamp.exists():
            return "", False
        command = ["clang-tidy", "--quiet", f"--config-file={self.root / '.clang-tidy'}", entry["file"]]
        if self.sees_large_headers(pathlib.Path(entry["file"])):
            command.append("--checks=-*," + ",".join(LIGHT))
        result = subprocess.run(command + ["--"] + flags_of(entry), capture_output=True, text=True, cwd=self.root)
        if result.returncode == 0:
            stamp.touch()
            return "", True
        findings = result.stdout or result.stderr
        print(findings, flush=True)
        return findings, True


def flags_of(entry):
    """What clang needs of a compile command: include paths, definitions and the language."""
    words = shlex.split(entry["command"])
    kept = []
    for i, word in enumerate(words):
        if word in ("-isystem", "-I"):
            kept += [word, words[i + 1]]
        elif word.startswith(("-I", "-D", "-std=")):
            kept.append(word)
    return kept


def check_tidy(root, build):
    commands = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    ours = {}
    for entry in commands:
        path = pathlib.Path(entry["file"])
        if path.suffix == ".cpp" and root in path.parents and build not in path.parents:
            ours.setdefault(path, entry)
    tidy = Tidy(root, build)
    order = [entry for _, entry in sorted(ours.items())]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(tidy.check, order))
    fresh = sum(was_run for _, was_run in results)
    return [text for text, _ in results if text], f"{len(results)} files, {fresh} checked now, the rest remembered"


def main():
    arguments = [pathlib.Path(argument).resolve() for argument in sys.argv[2:]]
    start = time.monotonic()
    if sys.argv[1:2] == ["format"] and len(arguments) == 1:
        findings, summary = check_format(*arguments)
    elif sys.argv[1:2] == ["tidy"] and len(arguments) == 2:
        findings, summary = check_tidy(*arguments)
    else:
        print(__doc__, file=sys.stderr)
        return 2
    print(f"{summary}, {len(findings)} with findings, {time.monotonic() - start:.0f} s")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
