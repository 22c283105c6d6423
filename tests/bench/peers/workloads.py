"""What the five workloads are. Standard library only: also read before anything is installed."""

import dataclasses
import random


@dataclasses.dataclass(frozen=True)
class Workload:
    text: str
    clients: int
    cohort: int  # clients that take part in a round
    rounds: int  # by default; the first is left out of the times
    epochs: int = 0  # 0: nothing is trained
    batch: int = 0
    lr: float = 0.0
    momentum: float = 0.0
    weight_decay: float = 0.0
    values: int = 0  # of the vector that stands for a model where nothing is trained
    centred: bool = False  # pixels in [-1, 1], as Coppice's `normalize` layer makes them, not [0, 1]


WORKLOADS = {
    "w1": Workload("LeNet-5, all of 10 clients (Dirichlet 0.5), 5 epochs, batch 64", 10, 10, 2, epochs=5, batch=64,
                   lr=0.01, momentum=0.9, weight_decay=1e-5, centred=True),
    "w2": Workload("null round: all of 100 clients give back a vector of 1,000 floats", 100, 100, 20, values=1_000),
    "w3": Workload("mean of the updates of 100 clients, 10,000,000 floats each", 100, 100, 3, values=10_000_000),
    "w4": Workload("logistic regression, 100 of 1,000 clients of 60 samples, batch 10", 1000, 100, 40, epochs=1,
                   batch=10, lr=0.03),
    "w5": Workload("CNN of 1,626,442 parameters on 3 x 32 x 32, all of 10 clients of 200 samples, batch 10", 10, 10, 8,
                   epochs=1, batch=10, lr=0.05, centred=True),
}


def client_ids(workload, round_index):
    """Who takes part. Every client where all do, else a draw of our own for each round."""
    if workload.cohort == workload.clients:
        return list(range(workload.clients))
    draw = random.Random(1_000_003 * workload.cohort + round_index)
    return sorted(draw.sample(range(workload.clients), workload.cohort))


def added_constant(client):
    """w3: what a client adds to every value, so that a wrong mean is seen. Exact in fp32, mean not zero."""
    return ((client * 37) % 100 - 40) / 64.0


def mean_added_constant(workload):
    return sum(added_constant(client) for client in range(workload.clients)) / workload.clients
