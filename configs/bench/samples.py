"""Made-up data sets as IDX files (docs/data.md), for configs of which only the time counts.

  python3 configs/bench/samples.py FOLDER

FOLDER/features_400   400 numbers a sample, three classes
FOLDER/images_3x32x32 images of three channels, ten classes
The same files every time.
"""

import pathlib
import random
import struct
import sys

TRAIN, TEST = 640, 128
SETS = {"features_400": ((400,), 3), "images_3x32x32": ((32, 32, 3), 10)}  # IDX has the channels last


def write_idx(path, shape, values):
    path.write_bytes(struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + values)


def main(folder):
    for name, (shape, classes) in SETS.items():
        draw = random.Random(name)
        place = pathlib.Path(folder) / name
        place.mkdir(parents=True, exist_ok=True)
        size = 1
        for axis in shape:
            size *= axis
        for split, count in (("train", TRAIN), ("t10k", TEST)):
            write_idx(place / f"{split}-images-idx{1 + len(shape)}-ubyte", (count, *shape), draw.randbytes(count * size))
            labels = bytes(n % classes for n in range(count))
            write_idx(place / f"{split}-labels-idx1-ubyte", (count,), labels)
        print(f"{place}: {TRAIN} + {TEST} samples")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    sys.exit(main(sys.argv[1]))
