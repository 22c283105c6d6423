"""Networks, local training and evaluation of the PyTorch peers: the same code under each of them.

Channels-last weights and a fused optimizer, because both are faster here than PyTorch's defaults; one thread a process.
"""

import numpy as np
import torch
from torch import nn


def make_network(name):
    torch.manual_seed(1)
    if name == "w4":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    if name == "w1":
        network = nn.Sequential(
            nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))
    else:
        network = nn.Sequential(
            nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(64 * 14 * 14, 128), nn.ReLU(), nn.Linear(128, 10))
    return network.to(memory_format=torch.channels_last)


def optimizer_of(parameters, workload):
    return torch.optim.SGD(parameters, lr=workload.lr, momentum=workload.momentum, weight_decay=workload.weight_decay,
                           fused=True)


class Clients:
    """Every client's samples as tensors, made on first use and kept."""

    def __init__(self, samples):
        self.samples = samples
        self.kept = {}

    def __getitem__(self, client):
        if client not in self.kept:
            x, y = self.samples.of_client(client)
            self.kept[client] = torch.from_numpy(x), torch.from_numpy(y)
        return self.kept[client]

    def size(self, client):
        return len(self.samples.rows[client])


def train(network, x, y, workload, seed):
    """One client's local work."""
    optimizer = optimizer_of(network.parameters(), workload)
    generator = torch.Generator().manual_seed(seed)
    network.train()
    for _ in range(workload.epochs):
        for batch in torch.randperm(len(y), generator=generator).split(workload.batch):
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(network(x[batch]), y[batch]).backward()
            optimizer.step()


def accuracy(network, samples):
    """On the test samples, as a fraction."""
    network.eval()
    right = 0
    with torch.inference_mode():
        for begin in range(0, len(samples.y_test), 500):
            images = torch.from_numpy(samples.pixels(samples.x_test[begin:begin + 500]))
            right += int((network(images).argmax(1).numpy() == samples.y_test[begin:begin + 500]).sum())
    return right / len(samples.y_test)


def mean_is_right(values, expected):
    return bool(np.allclose(np.asarray(values), expected, atol=1e-4))
