"""One worker of pfl-research's SimulatedBackend: a process each, sums reduced over gloo at the end of a round.

Its size-aware scheduler where clients differ in size, samples kept as tensors, no metrics of single clients. Its own
Dataset gives the same batches in every epoch; ours shuffles, as the other peers do.
"""

import functools
import importlib.metadata
import os

import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.aggregate.weighting import WeightByDatapoints
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.dataset import Dataset
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam import NNTrainHyperParams
from pfl.internal.ops.selector import get_default_framework_module
from pfl.metrics import Metrics, Weighted
from pfl.model.pytorch import PyTorchModel

import peer
import training
from samples import Samples
from workloads import WORKLOADS, added_constant, mean_added_constant


class ShuffledDataset(Dataset):
    def iter(self, batch_size):
        x, y = self.raw_data
        for rows in torch.randperm(len(y)).split(batch_size):
            yield x[rows], y[rows]


class Learner(torch.nn.Module):
    def __init__(self, name):
        super().__init__()
        self.network = training.make_network(name)

    def loss(self, x, y):
        self.train()
        return torch.nn.functional.cross_entropy(self.network(x), y)

    def metrics(self, _, y):  # asked for once, before round 1
        return {"loss": Weighted(0.0, len(y))}


class Vector(torch.nn.Module):
    def __init__(self, count):
        super().__init__()
        self.values = torch.nn.Parameter(torch.zeros(count))

    def loss(self):  # pfl wants both to be there and calls neither here
        raise NotImplementedError

    metrics = loss


class UntrainedAveraging(FederatedAveraging):
    """Takes the place of local training: a client of w2 changes nothing, one of w3 adds its constant."""

    def simulate_one_user(self, model, user_dataset, central_context):
        self._initial_model_state = model.get_parameters(self._initial_model_state)
        if len(user_dataset.raw_data) > 1:
            with torch.no_grad():
                model.pytorch_model.values.add_(user_dataset.raw_data[1])
        difference = model.get_model_difference(self._initial_model_state)
        model.set_parameters(self._initial_model_state)
        return difference, Metrics()


class Laps(TrainingProcessCallback):
    def __init__(self):
        self.stopwatch = peer.Stopwatch()

    def on_train_begin(self, *, model):
        self.stopwatch.begin()
        return Metrics()

    def after_central_iteration(self, aggregate_metrics, model, *, central_iteration):
        self.stopwatch.lap()
        return False, Metrics()


def make_users(name, workload, samples):
    if samples:
        clients = training.Clients(samples)
        return {client: ShuffledDataset(clients[client], user_id=str(client)) for client in range(workload.clients)}
    nothing = torch.zeros(1)
    return {client: Dataset((nothing, added_constant(client)) if name == "w3" else (nothing,), user_id=str(client))
            for client in range(workload.clients)}


def main():
    options = peer.read_options()
    torch.set_num_threads(1)
    name, workload = options.workload, WORKLOADS[options.workload]
    samples = Samples(options.data, name) if workload.epochs else None
    users = make_users(name, workload, samples)
    sizes = {client: len(user) for client, user in users.items()}
    differ = len(set(sizes.values())) > 1
    data = FederatedDataset(users.__getitem__, get_user_sampler("minimize_reuse", list(users)),
                            user_id_to_weight=sizes if differ else None)
    module = Learner(name) if samples else Vector(workload.values)
    local = functools.partial(torch.optim.SGD, momentum=workload.momentum, weight_decay=workload.weight_decay, fused=True)
    model = PyTorchModel(module, local, torch.optim.SGD(module.parameters(), lr=1.0))
    workers = get_default_framework_module().distributed.world_size
    if workers != options.processes:
        raise SystemExit(f"error: pfl has {workers} workers instead of {options.processes}")
    laps = Laps()
    (FederatedAveraging if samples else UntrainedAveraging)().run(
        algorithm_params=NNAlgorithmParams(central_num_iterations=options.rounds, evaluation_frequency=10**9,
                                           train_cohort_size=workload.cohort, val_cohort_size=0),
        backend=SimulatedBackend(training_data=data, val_data=data,
                                 postprocessors=[WeightByDatapoints()] if differ else []),
        model=model,
        model_train_params=NNTrainHyperParams(local_num_epochs=workload.epochs, local_learning_rate=workload.lr,
                                              local_batch_size=workload.batch),
        model_eval_params=None, callbacks=[laps], send_metrics_to_platform=False)
    if os.environ.get("PFL_WORKER_RANK", "0") == "0":
        found = {}
        if samples:
            found = {"accuracy": training.accuracy(module.network, samples),
                     "samples": workload.epochs * workload.cohort * sum(sizes.values()) // workload.clients}
        elif name == "w3":
            values = module.values.detach().numpy()
            found = {"mean_is_right": training.mean_is_right(values, options.rounds * mean_added_constant(workload))}
        peer.leave_result(options, importlib.metadata.version("pfl"), laps.stopwatch.seconds, **found)


if __name__ == "__main__":
    main()
