#!/usr/bin/env python3
"""The runtime's tests at every instruction set that this processor has: every_isa_test.py TEST_PROGRAM...

COPPICE_ISA forces each; those that the processor lacks are named and left out.
"""
import os
import subprocess
import sys

LEVELS = ["baseline", "avx2", "avx512", "avx512-vnni"]
# One test that fails at once where the level is not there.
PROBE = ["--gtest_filter=EngineTest.RunningAllocatesNothing"]


def run(program, level, arguments):
    environment = dict(os.environ, COPPICE_ISA=level)
    return subprocess.run([program, *arguments], env=environment, capture_output=True, text=True)


def main():
    programs = sys.argv[1:]
    failed = []
    for level in LEVELS:
        probe = run(programs[0], level, PROBE)
        if "COPPICE_ISA: expected one of" in probe.stdout + probe.stderr:
            print(f"skipped {level}: this processor does not have it")
            continue
        for program in programs:
            done = run(program, level, ["--gtest_brief=1"])
            name = os.path.basename(program)
            print(f"{name} at {level}: {done.stdout.strip().splitlines()[-1]}")
            if done.returncode != 0 or "[  PASSED  ]" not in done.stdout:
                failed.append(f"{name} at {level}:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    for text in failed:
        print(text)
    return 1 if failed else 0


sys.exit(main())
