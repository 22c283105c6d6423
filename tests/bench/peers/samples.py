"""The workloads' data as .npz files that every peer reads, Coppice included.

    python samples.py FOLDER NAME ...     writes what is missing of FOLDER/w1.npz, w4.npz and w5.npz

A file holds x, y, client, x_test and y_test (docs/data.md), so that all peers train the same clients on the same samples.
"""

import gzip
import os
import pathlib
import sys

import numpy as np

from workloads import WORKLOADS


class Samples:
    """The arrays of one .npz file and who owns which row."""

    def __init__(self, folder, name):
        self.is_centred = WORKLOADS[name].centred
        with np.load(pathlib.Path(folder) / f"{name}.npz") as arrays:
            self.x, self.y, self.x_test, self.y_test = (arrays[key] for key in ("x", "y", "x_test", "y_test"))
            owner = arrays["client"]
        order = np.argsort(owner, kind="stable")
        self.rows = np.split(order, np.cumsum(np.bincount(owner))[:-1])

    def pixels(self, images):
        scaled = images.astype(np.float32) / np.float32(255)
        return (scaled - np.float32(0.5)) / np.float32(0.5) if self.is_centred else scaled

    def of_client(self, client):
        rows = self.rows[client]
        return self.pixels(self.x[rows]), self.y[rows]


def idx_file(path):
    with gzip.open(path) as file:
        content = file.read()
    dimensions = np.frombuffer(content, ">i4", content[3], 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(dimensions)


def fashion_mnist():
    folder = pathlib.Path(os.environ.get("COPPICE_DATA", "/usr/share/datasets")) / "fashion-mnist"
    if not (folder / "train-images-idx3-ubyte.gz").exists():
        raise SystemExit(f"error: {folder} has no Fashion-MNIST (Debian package dataset-fashion-mnist)")
    names = "train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"
    x, y, x_test, y_test = (idx_file(folder / f"{name}-ubyte.gz") for name in names)
    return {"x": x[:, None], "y": y.astype(np.int64), "x_test": x_test[:, None], "y_test": y_test.astype(np.int64)}


def dirichlet_owners(labels, clients, alpha, generator):
    """Each class cut at random among the clients (NIID-Bench's noniid-labeldir, drawn until no client is tiny)."""
    while True:
        owners = np.empty(len(labels), np.int64)
        for label in np.unique(labels):
            rows = generator.permutation(np.flatnonzero(labels == label))
            shares = generator.dirichlet(np.full(clients, alpha))
            room = np.bincount(owners[labels < label], minlength=clients) < len(labels) / clients
            shares = shares * room / (shares * room).sum()
            cuts = (np.cumsum(shares)[:-1] * len(rows)).astype(np.int64)
            for client, part in enumerate(np.split(rows, cuts)):
                owners[part] = client
        if np.bincount(owners, minlength=clients).min() >= 10:
            return owners


def equal_owners(count, clients, generator):
    return generator.permutation(np.arange(count) % clients)


def generated_images(count, prototypes, generator):
    """Each class is a smooth pattern that appears shifted, in varying contrast, under noise."""
    labels = generator.integers(0, 10, count)
    images = np.empty((count, 3, 32, 32), np.uint8)
    for row, label in enumerate(labels):
        shifted = np.roll(prototypes[label], generator.integers(-2, 3, 2), (1, 2))
        noisy = shifted * generator.uniform(0.3, 1.0) + generator.normal(0, 1.0, shifted.shape)
        images[row] = np.clip(128 + 32 * noisy, 0, 255)
    return images, labels.astype(np.int64)


def made_up_cifar(generator):
    coarse = generator.normal(0, 1, (10, 3, 8, 8))
    prototypes = coarse.repeat(4, axis=2).repeat(4, axis=3)
    x, y = generated_images(2_000, prototypes, generator)
    x_test, y_test = generated_images(5_000, prototypes, generator)
    return {"x": x, "y": y, "x_test": x_test, "y_test": y_test}


def write_data(folder, name):
    path = pathlib.Path(folder) / f"{name}.npz"
    if not WORKLOADS[name].epochs or path.exists():
        return
    generator = np.random.default_rng([5, int(name[1:])])
    arrays = made_up_cifar(generator) if name == "w5" else fashion_mnist()
    clients = WORKLOADS[name].clients
    owners = dirichlet_owners(arrays["y"], clients, 0.5, generator) if name == "w1" else equal_owners(
        len(arrays["y"]), clients, generator)
    # By client, so that "the clients in order of first appearance" are 0, 1, 2, ... for every reader.
    order = np.argsort(owners, kind="stable")
    part = path.with_suffix(".part.npz")
    np.savez(part, x=arrays["x"][order], y=arrays["y"][order], client=owners[order],
             x_test=arrays["x_test"], y_test=arrays["y_test"])
    part.replace(path)


if __name__ == "__main__":
    pathlib.Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    for chosen in sys.argv[2:]:
        write_data(sys.argv[1], chosen)
