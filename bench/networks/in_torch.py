"""A spec as `torch.nn` modules: the same layers, with torch's own initial weights."""

from __future__ import annotations

from typing import Any

from bench.networks.specs import Act, Conv, ConvTranspose, Norm, Residual, Skip, Spec


def build(spec: Spec, channels: int, rank: int) -> tuple[Any, int]:
    """The module, channels first, and how many channels it gives."""
    import torch

    nn = torch.nn
    activations = {
        "relu": nn.ReLU,
        "gelu": nn.GELU,
        "elu": nn.ELU,
        "leaky_relu": lambda: nn.LeakyReLU(0.01),
        "tanh": nn.Tanh,
    }
    conv, transposed = getattr(nn, f"Conv{rank}d"), getattr(nn, f"ConvTranspose{rank}d")
    layers: list[Any] = []
    for layer in spec:
        if isinstance(layer, Act):
            layers.append(activations[layer.name]())
        elif isinstance(layer, Norm):
            layers.append(nn.GroupNorm(8, channels))
        elif isinstance(layer, Conv):
            # Torch's "same" knows no stride; of even kernels with one the border differs.
            reach = layer.dilation * (layer.kernel - 1)
            padding = (reach + 1 - layer.stride + 1) // 2 if layer.stride > 1 else "same"
            options = {"stride": layer.stride, "padding": padding, "dilation": layer.dilation}
            made = conv(channels, layer.features, layer.kernel, groups=layer.groups, **options)
            layers.append(made)
            channels = layer.features
        elif isinstance(layer, ConvTranspose):
            excess = layer.kernel - layer.stride
            options = {"padding": (excess + 1) // 2, "output_padding": excess % 2}
            made = transposed(channels, layer.features, layer.kernel, layer.stride, **options)
            layers.append(made)
            channels = layer.features
        else:
            made, channels = _both(layer, channels, rank)
            layers.append(made)
    return nn.Sequential(*layers), channels


def _both(layer: Residual | Skip, channels: int, rank: int) -> tuple[Any, int]:
    import torch

    body, out = build(layer.body, channels, rank)
    beside = isinstance(layer, Skip)
    straight = () if isinstance(layer, Skip) else layer.shortcut

    class Both(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body
            self.shortcut = build(straight, channels, rank)[0]

        def forward(self, x: Any) -> Any:
            if beside:
                return torch.cat((x, self.body(x)), 1)
            return self.shortcut(x) + self.body(x)

    return Both(), channels + out if beside else out
