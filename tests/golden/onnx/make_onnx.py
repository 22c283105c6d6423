#!/usr/bin/env python3
"""Makes the ONNX files in this folder: networks from elsewhere, for tests of the import.

    make_onnx.py FOLDER

Needs torch 2.11.0 with all it depends on, onnx 1.23.2, onnxscript 0.7.2 and onnxruntime 1.31.1, which
the build and its tests do without: the files are committed. What the exporters note about the machine
they ran on is taken out.
"""

import pathlib
import sys

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import nn


class Image(nn.Module):
    """Convolutions of every kind, norms, a gate, a sum, a concatenation and pools."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.gn = nn.GroupNorm(4, 8)
        self.pointwise = nn.Conv2d(8, 8, 1)
        self.squeeze = nn.Conv2d(8, 4, 1)
        self.excite = nn.Conv2d(4, 8, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.ln = nn.LayerNorm(16)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = nn.functional.relu6(self.bn(self.stem(x)))
        y = nn.functional.leaky_relu(self.gn(self.depthwise(x)), 0.1)
        x = x + self.pointwise(y)
        x = x * torch.sigmoid(self.excite(torch.tanh(self.squeeze(self.pool(x)))))
        x = self.pool(nn.functional.avg_pool2d(torch.cat([x, y], 1), 2))
        x = x.view(x.size(0), -1)
        return self.head(nn.functional.gelu(self.ln(x)))


class Steps(nn.Module):
    """Ids, an embedding with positions, a block and the last step."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.positions = nn.Parameter(torch.randn(7, 8))
        self.ln = nn.LayerNorm(8)
        self.up = nn.Linear(8, 16)
        self.down = nn.Linear(16, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = self.embedding(x) + self.positions
        x = x + self.down(nn.functional.gelu(self.up(self.ln(x))))
        return self.head(x[:, -1])


class Plain(nn.Module):
    """Normalized pixels, two convolutions, a pool and two layers: what is quantized."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1)
        self.fc1 = nn.Linear(150, 12)
        self.fc2 = nn.Linear(12, 4)

    def forward(self, x):
        x = torch.relu(self.conv1((x - 0.5) / 0.25))
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2)
        x = torch.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc2(x)


class Samples(CalibrationDataReader):
    def __init__(self):
        generator = np.random.default_rng(0)
        self.batches = iter([{"input": generator.random((8, 1, 12, 12), dtype=np.float32)} for _ in range(4)])

    def get_next(self):
        return next(self.batches, None)


def plain_file(path):
    """Without stack traces, versions and paths."""
    model = onnx.load(path)
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for values in (model.graph.value_info, model.graph.input, model.graph.output):
        for value in values:
            del value.metadata_props[:]
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    onnx.save(model, path)


def export(model, sample, path, opset, dynamo):
    names = {"input_names": ["input"], "output_names": ["logits"], "opset_version": opset}
    if dynamo:
        torch.onnx.export(model, (sample,), path, dynamo=True, external_data=False, verbose=False,
                          dynamic_shapes=({0: "batch"},), **names)
    else:
        torch.onnx.export(model, (sample,), path, dynamo=False, dynamic_axes={"input": {0: "batch"}}, **names)
    plain_file(path)


def make(model):
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
        if isinstance(module, (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return model


def main():
    folder = pathlib.Path(sys.argv[1])
    torch.manual_seed(0)
    image, steps, plain = make(Image()), make(Steps()), make(Plain())
    for opset in (13, 17, 20):
        export(image, torch.rand(2, 3, 16, 16), folder / f"image_traced{opset}.onnx", opset, False)
    export(image, torch.rand(2, 3, 16, 16), folder / "image_dynamo20.onnx", 20, True)
    ids = torch.randint(0, 11, (2, 7))
    export(steps, ids, folder / "steps_traced13.onnx", 13, False)
    export(steps, ids, folder / "steps_dynamo18.onnx", 18, True)
    fp32 = folder / "plain_traced17.onnx"
    export(plain, torch.rand(2, 1, 12, 12), fp32, 17, False)
    kinds = {
        "unsigned": {"activation_type": QuantType.QUInt8, "per_channel": True},
        "signed": {"activation_type": QuantType.QInt8, "per_channel": False},
        "trained": {"activation_type": QuantType.QUInt8, "per_channel": True,
                    "extra_options": {"AddQDQPairToWeight": True}},
    }
    for name, options in kinds.items():
        path = folder / f"plain_{name}.onnx"
        quantize_static(fp32, path, Samples(), quant_format=QuantFormat.QDQ, weight_type=QuantType.QInt8, **options)
        plain_file(path)


if __name__ == "__main__":
    main()
