"""What a Flower client does. A module of its own, so that Ray's actors import it and are not sent it with each task;
network and samples stay in the actor."""

import torch
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

import training
from samples import Samples
from workloads import WORKLOADS, added_constant

app = ClientApp()
resident = {}


def trained(message, client, config):
    name = config["workload"]
    if not resident:
        torch.set_num_threads(1)
        resident.update(network=training.make_network(name), clients=training.Clients(Samples(config["data"], name)))
    network, clients = resident["network"], resident["clients"]
    network.load_state_dict(message.content["arrays"].to_torch_state_dict())
    seed = 10_000 * int(config["server-round"]) + client
    training.train(network, *clients[client], WORKLOADS[name], seed)
    return ArrayRecord(network.state_dict()), clients.size(client)


@app.train()
def answer(message, context):
    client, config = int(context.node_config["partition-id"]), message.content["config"]
    arrays, weight = message.content["arrays"], 1
    if WORKLOADS[config["workload"]].epochs:
        arrays, weight = trained(message, client, config)
    elif config["workload"] == "w3":
        (values,) = arrays.to_numpy_ndarrays()
        arrays = ArrayRecord([values + values.dtype.type(added_constant(client))])
    return Message(RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": weight})}), reply_to=message)
