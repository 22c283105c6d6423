#!/usr/bin/env python3
"""What compilers made of kernels/lanes and kernels/integer: isa_objects_test.py OBJDUMP NM OBJECT...

An object for one instruction set must not share functions with the rest of the program (no weak symbols), or an old CPU
would meet its instructions; and the tiles' hot loops must keep their sums in registers (no loop around a multiply-add
moves vectors to or from the stack).
"""
import re
import subprocess
import sys

# The widest tile of each kind that has to fit its registers.
TILES = re.compile(r"product_tile<\d, \d, \d>|gradient_tile<\d, \d>|scaled_rows_tile<\d+>|::tile<.*(Integers|Values), \d, \d+")
MULTIPLY_ADD = re.compile(r"vfmadd|vpmaddwd|vpdpwssd")


def weak_symbols(nm, path):
    lines = subprocess.run([nm, "-C", path], check=True, capture_output=True, text=True).stdout.splitlines()
    return [line for line in lines if re.match(r"\S*\s+[WVu]\s", line)]


def functions(objdump, path):
    text = subprocess.run([objdump, "-d", "--no-show-raw-insn", "-C", path], check=True, capture_output=True,
                          text=True).stdout
    name, body = None, []
    for line in text.splitlines():
        header = re.match(r"[0-9a-f]+ <(.*)>:$", line)
        if header:
            if name:
                yield name, body
            name, body = header.group(1), []
        elif name and ":\t" in line:
            address, instruction = line.split(":\t", 1)
            body.append((int(address, 16), instruction))
    if name:
        yield name, body


def spills(body):
    """Vector moves to or from the stack inside an innermost loop that multiplies and adds."""
    found = []
    for i, (address, instruction) in enumerate(body):
        jump = re.match(r"j\w+\s+([0-9a-f]+)", instruction)
        if not jump or int(jump.group(1), 16) >= address:
            continue
        start = int(jump.group(1), 16)
        loop = [text for at, text in body[:i] if at >= start]
        has_inner = any(re.match(r"j\w+\s+([0-9a-f]+)", text) and
                        start < int(re.match(r"j\w+\s+([0-9a-f]+)", text).group(1), 16) <= at
                        for at, text in body[:i] if at >= start)
        if has_inner or not any(MULTIPLY_ADD.search(text) for text in loop):
            continue
        found += [text for text in loop if re.search(r"[xyz]mm", text) and re.search(r"\(%r[sb]p\)", text)]
    return found


def main():
    objdump, nm, *objects = sys.argv[1:]
    failures = []
    for path in objects:
        failures += [f"{path}: weak symbol {line}" for line in weak_symbols(nm, path)]
        tiles = 0
        for name, body in functions(objdump, path):
            if not TILES.search(name):
                continue
            tiles += 1
            spilled = spills(body)
            if spilled:
                failures.append(f"{path}: {name} spills: {spilled[0]}")
        if tiles == 0 and "baseline" not in path:
            failures.append(f"{path}: no tiles found")
        print(f"{path}: {tiles} tiles looked at")
    print("\n".join(failures))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
