"""Flower's simulation engine: Ray actors of one core each, no evaluation in the rounds, no dashboard, no telemetry."""

import os

# Ray gives its actors a niceness of 15, and then they wait for whatever else the machine does.
os.environ.update(FLWR_TELEMETRY_ENABLED="0", RAY_USAGE_STATS_ENABLED="0", RAY_worker_niceness="0")

import importlib.metadata

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

import flower_client
import peer
import training
from samples import Samples
from workloads import WORKLOADS, mean_added_constant


class TimedFedAvg(FedAvg):
    """Flower's own strategy with a stopwatch, which also sees that nobody was missing from the last round."""

    stopwatch = peer.Stopwatch()
    answers = 0

    def configure_train(self, server_round, arrays, config, grid):
        if server_round == 1:
            self.stopwatch.begin()
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(self, server_round, replies):
        replies = list(replies)
        TimedFedAvg.answers = sum(not reply.has_error() for reply in replies)
        result = super().aggregate_train(server_round, replies)
        self.stopwatch.lap()
        return result


def main():
    options = peer.read_options()
    name, workload = options.workload, WORKLOADS[options.workload]
    server, finished = ServerApp(), {}

    @server.main()
    def serve(grid, _):
        if workload.epochs:
            start = ArrayRecord(training.make_network(name).state_dict())
        else:
            start = ArrayRecord([np.zeros(workload.values, np.float32)])
        strategy = TimedFedAvg(fraction_train=workload.cohort / workload.clients, fraction_evaluate=0.0,
                               min_train_nodes=workload.cohort, min_available_nodes=workload.clients)
        finished["arrays"] = strategy.start(
            grid=grid, initial_arrays=start, num_rounds=options.rounds,
            train_config=ConfigRecord({"workload": name, "data": str(options.data.resolve())})).arrays

    run_simulation(server, flower_client.app, num_supernodes=workload.clients, backend_config={
        "init_args": {"num_cpus": options.processes, "include_dashboard": False},
        "client_resources": {"num_cpus": 1, "num_gpus": 0.0}})
    if TimedFedAvg.answers != workload.cohort:
        raise SystemExit(f"error: {TimedFedAvg.answers} of {workload.cohort} clients answered in the last round")
    found = {}
    if workload.epochs:
        samples = Samples(options.data, name)
        network = training.make_network(name)
        network.load_state_dict(finished["arrays"].to_torch_state_dict())
        found = {"accuracy": training.accuracy(network, samples),
                 "samples": workload.epochs * workload.cohort * len(samples.y) // workload.clients}
    elif name == "w3":
        (values,) = finished["arrays"].to_numpy_ndarrays()
        found = {"mean_is_right": training.mean_is_right(values, options.rounds * mean_added_constant(workload))}
    peer.leave_result(options, importlib.metadata.version("flwr"), TimedFedAvg.stopwatch.seconds, **found)


if __name__ == "__main__":
    main()
