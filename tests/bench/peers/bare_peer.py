"""FedAvg by hand on PyTorch: what a patient user would write, and the yardstick of the table.

A process keeps one network whose parameters are views of one flat buffer, so that loading the global model and adding an
update to the running sum are one pass each. More processes are forked, share memory and meet at barriers; each then
averages its part of the vector.
"""

import heapq
import multiprocessing

import torch

import peer
import training
from samples import Samples
from workloads import WORKLOADS, added_constant, client_ids, mean_added_constant


class FlatNetwork:
    """A network over one buffer. Filters keep their channels last in it."""

    def __init__(self, name):
        self.network = training.make_network(name)
        parameters = list(self.network.parameters())
        self.values = torch.empty(sum(parameter.numel() for parameter in parameters))
        for parameter, place in zip(parameters, self.values.split([parameter.numel() for parameter in parameters])):
            if parameter.dim() == 4:
                out, channels, height, width = parameter.shape
                view = place.view(out, height, width, channels).permute(0, 3, 1, 2)
            else:
                view = place.view(parameter.shape)
            view.copy_(parameter.data)
            parameter.data = view


class NullClient:
    """Nothing to train: gives the global model back, in w3 with a constant of the client's added."""

    def __init__(self, name, count):
        self.adds_constant = name == "w3"
        self.values = torch.zeros(count)

    def update(self, client, global_model, _):
        if self.adds_constant:
            torch.add(global_model, added_constant(client), out=self.values)
        else:
            self.values.copy_(global_model)
        return self.values

    def weight(self, _):
        return 1


class TrainingClient:
    def __init__(self, name, samples):
        self.workload = WORKLOADS[name]
        self.flat = FlatNetwork(name)
        self.clients = training.Clients(samples)

    def update(self, client, global_model, round_index):
        self.flat.values.copy_(global_model)
        training.train(self.flat.network, *self.clients[client], self.workload, 10_000 * round_index + client)
        return self.flat.values

    def weight(self, client):
        return self.clients.size(client)


def shares(clients, weight, processes):
    """The heaviest client first, each to the process that has least to do."""
    loads = [(0, process, []) for process in range(processes)]
    for client in sorted(clients, key=weight, reverse=True):
        load, process, mine = heapq.heappop(loads)
        mine.append(client)
        heapq.heappush(loads, (load + weight(client), process, mine))
    return [mine for _, _, mine in sorted(loads, key=lambda load: load[1])]


class Team:
    """What the processes share."""

    def __init__(self, start, processes):
        self.global_model = start.clone().share_memory_()
        self.sums = [torch.zeros_like(start).share_memory_() for _ in range(processes)]
        self.weights = torch.zeros(processes, dtype=torch.float64).share_memory_()
        self.barrier = multiprocessing.get_context("fork").Barrier(processes) if processes > 1 else None

    def meet(self):
        if self.barrier:
            self.barrier.wait()


def work(rank, options, samples, team):
    """All rounds of one process; returns their seconds."""
    torch.set_num_threads(1)
    name, workload = options.workload, WORKLOADS[options.workload]
    trainer = TrainingClient(name, samples) if samples else NullClient(name, workload.values)
    begin, end = (len(team.global_model) * edge // options.processes for edge in (rank, rank + 1))
    stopwatch = peer.Stopwatch()
    team.meet()
    stopwatch.begin()
    for round_index in range(options.rounds):
        mine = shares(client_ids(workload, round_index), trainer.weight, options.processes)[rank]
        team.sums[rank].zero_()
        for client in mine:
            update = trainer.update(client, team.global_model, round_index)
            team.sums[rank].add_(update, alpha=trainer.weight(client))
        team.weights[rank] = sum(map(trainer.weight, mine))
        team.meet()
        factor = 1.0 / float(team.weights.sum())
        part = torch.mul(team.sums[0][begin:end], factor, out=team.global_model[begin:end])
        for other in team.sums[1:]:
            part.add_(other[begin:end], alpha=factor)
        team.meet()
        stopwatch.lap()
    return stopwatch.seconds


def main():
    options = peer.read_options()
    torch.set_num_threads(1)
    name, workload = options.workload, WORKLOADS[options.workload]
    samples = Samples(options.data, name) if workload.epochs else None
    start = FlatNetwork(name).values if samples else torch.zeros(workload.values)
    team = Team(start, options.processes)
    fork = multiprocessing.get_context("fork")
    others = [fork.Process(target=work, args=(rank, options, samples, team)) for rank in range(1, options.processes)]
    for other in others:
        other.start()
    seconds = work(0, options, samples, team)
    for other in others:
        other.join()
    found = {}
    if samples:
        flat = FlatNetwork(name)
        flat.values.copy_(team.global_model)
        last = client_ids(workload, options.rounds - 1)
        found = {"accuracy": training.accuracy(flat.network, samples),
                 "samples": workload.epochs * sum(len(samples.rows[client]) for client in last)}
    elif name == "w3":
        expected = options.rounds * mean_added_constant(workload)
        found = {"mean_is_right": training.mean_is_right(team.global_model.numpy(), expected)}
    peer.leave_result(options, torch.__version__, seconds, **found)


if __name__ == "__main__":
    main()
