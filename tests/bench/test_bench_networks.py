"""Whole networks of the benchmark: built alike in Flax and torch, the same numbers accelerated."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from bench import readme, report, table
from bench.networks import in_flax, in_torch, run
from bench.networks.specs import NETWORKS, Act, Conv, ConvTranspose, Network, Norm, Residual, Skip
from tests.selection import exhaustive

# Millions of parameters of the published networks, heads left out.
PARAMETERS = {"ResNet-50": 23.5, "ResNeXt-50": 23.0, "MobileNetV2": 1.83, "ConvNeXt-T": 27.8}
SMALL = Network(
    "small",
    "a test",
    (
        *(Conv(16, 3, 2), Norm(), Act(), Residual((Conv(16, 3, groups=16), Act("elu")))),
        *(Skip((Conv(16, 2, 2), ConvTranspose(8, 4, 2))), Conv(4, 3, dilation=2)),
    ),
    (2, 8, 8, 3),
)


def shape_of(network: Network) -> tuple[tuple[int, ...], int]:
    rank = len(network.shape) - 2
    model = nnx.eval_shape(
        lambda: in_flax.build(network.spec, network.shape[-1], rank, nnx.Rngs(0))[0]
    )
    x = jax.ShapeDtypeStruct(network.shape, jnp.float32)
    y = jax.eval_shape(lambda model, x: model(x), model, x)
    return y.shape, sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model)))


def networks(*large: Network) -> list[Any]:
    """The small one always, the published ones in the exhaustive group."""
    names = [pytest.param(network, id=network.name, marks=exhaustive) for network in large]
    return [pytest.param(SMALL, id="small"), *names]


@pytest.mark.parametrize("network", networks(*NETWORKS[:4]))
def test_a_network_is_as_large_as_its_paper_says(network):
    _, parameters = shape_of(network)
    assert parameters / 1e6 == pytest.approx(PARAMETERS.get(network.name, 0.01), rel=0.01, abs=0.01)


@pytest.mark.peer("torch")
@pytest.mark.parametrize("network", networks(*NETWORKS))
def test_torch_builds_the_same(network):
    import torch

    shape, parameters = shape_of(network)
    batch, *space, channels = network.shape
    module, _ = in_torch.build(network.spec, channels, len(space))
    with torch.no_grad():
        y = module(torch.zeros(batch, channels, *space))
    assert (y.shape[0], *y.shape[2:], y.shape[1]) == shape
    assert sum(p.numel() for p in module.parameters()) == parameters


def test_a_network_is_measured(tmp_path):
    found = report.check(run.run([], rounds=1, networks=[SMALL]))
    assert [row["mode"] for row in found["rows"]] == ["inference", "training"]
    assert all(cell["status"] == "ok" for row in found["rows"] for cell in row["cells"].values())
    page, console = tmp_path / "README.md", table.console()
    page.write_text("<!-- networks -->\n<!-- /networks -->\n<!-- bench -->\nkept\n<!-- /bench -->")
    with console.capture() as capture:
        report.finish(found, console, None, None, False)
    assert "small" in capture.get()
    readme.rewrite(found, page)
    assert "| small |" in page.read_text() and "kept" in page.read_text()


def test_other_numbers_are_no_times(monkeypatch):
    monkeypatch.setattr(run, "TOLERANCE", -1.0)
    rows = list(run.measured(replace(SMALL, spec=SMALL.spec[:1]), 1))
    assert [row["cells"]["jtconv"]["status"] for row in rows] == ["wrong", "wrong"]


def test_an_unknown_network_is_named():
    with pytest.raises(ValueError, match=r"ResNet-50.*got 'AlexNet'"):
        run.run(["AlexNet"], 1)


# The others take minutes to compile: `python -m bench --suite networks` compares them, too.
COMPARED = [n for n in NETWORKS if n.name in ("MobileNetV2", "nnU-Net", "EnCodec", "HiFi-GAN")]


@exhaustive
@pytest.mark.parametrize("network", COMPARED, ids=lambda network: network.name)
def test_accelerated_networks_give_the_same_numbers(network):
    space = (16 if len(network.shape) == 5 else 32,) * (len(network.shape) - 2)
    if len(space) == 1:
        space = (640,) if network.name == "EnCodec" else (8,)
    small = replace(network, shape=(1, *space, network.shape[-1]))
    rows = [row for row in run.measured(small, 1) if row["cells"]["jtconv"]["status"] != "ok"]
    assert rows == []
