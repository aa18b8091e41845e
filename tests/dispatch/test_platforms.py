"""The platform that counts is the one a program is lowered for, wherever it is traced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import export

import jtconv
from jtconv import devices, linen
from jtconv import nnx as layers
from jtconv.algorithms import ALGORITHMS
from jtconv.devices import PLATFORMS
from tests.selection import rows

BF16 = jnp.bfloat16
X, W = jax.ShapeDtypeStruct((8, 64, 64, 128), BF16), jax.ShapeDtypeStruct((4, 4, 128, 64), BF16)
# Of these Pallas's kernels for GPUs are one, and JAX keeps no file of it readable for later ones.
UNCHECKED = [export.DisabledSafetyCheck.custom_call("mosaic_gpu_v2")]


def upsample(x, w, method="pallas"):
    return jtconv.conv_transpose(x, w, stride=2, padding=1, method=method)


def refusing(method="pallas"):
    """The platforms whose kernels, if there are any, refuse this layer."""
    found = set()
    for platform in PLATFORMS:
        plan = jtconv.explain(X, W, stride=2, padding=1, platform=platform)
        (row,) = [row for row in plan.sides[0].rows if row.method == method]
        found |= {platform} if row.refusal else set()
    return found


def traced(f, platforms):
    return jax.jit(f).trace(X, W).lower(lowering_platforms=platforms)


def exported(f, platforms):
    return export.export(jax.jit(f), platforms=platforms, disabled_checks=UNCHECKED)(X, W)


@pytest.mark.parametrize("lower", [traced, exported])
@pytest.mark.parametrize(
    "platforms", [("cpu",), ("cuda",), ("rocm",), ("tpu",), ("cpu", "cuda", "tpu")], ids="-".join
)
def test_a_named_method_is_refused_by_the_platforms_lowered_for(lower, platforms):
    """By these alone, and by name: the CPU that this is traced on has no such kernel."""
    refused = [platform for platform in platforms if platform in refusing()]
    if not refused:
        lower(upsample, platforms)
        return
    with pytest.raises(jtconv.Unsupported, match=rf"'pallas' cannot do this dgrad on {refused[0]}"):
        lower(upsample, platforms)


def test_this_platform_refuses_at_once():
    """In every way to call it that computes or compiles here."""
    x, w = jnp.ones((1, 4, 4, 32)), jnp.ones((4, 4, 32, 32))
    why = "'pallas' cannot do this .* on cpu: .*this runs on cpu"
    calls = [
        lambda: upsample(x, w),
        lambda: jax.jit(upsample)(x, w),
        lambda: jax.jit(upsample).lower(x, w),
        lambda: jax.vmap(upsample, (0, None))(x[None], w),
        lambda: jax.grad(lambda x: upsample(x, w).sum())(x),
        lambda: jtconv.conv(x, w, method="pallas"),
        lambda: jtconv.conv_transpose(x, w, jnp.ones(32), method="pallas"),
        lambda: _linen(x, "pallas"),
        lambda: _nnx(x, "pallas"),
    ]
    for call in calls:
        with pytest.raises(jtconv.Unsupported, match=why):
            call()
    with jax.disable_jit(), pytest.raises(jtconv.Unsupported, match=why):
        upsample(x, w)


def _linen(x, method):
    layer = linen.ConvTranspose(32, (4, 4), (2, 2), use_bias=False, method=method)
    return layer.apply({"params": {"kernel": jnp.ones((4, 4, 32, 32))}}, x)


def _nnx(x, method):
    layer = layers.ConvTranspose(
        32, 32, (4, 4), (2, 2), use_bias=False, method=method, rngs=nnx.Rngs(0)
    )
    return layer(x)


def test_a_trace_refuses_what_no_platform_can():
    """And nothing else."""
    x, w = jax.ShapeDtypeStruct((1, 4, 2), jnp.int8), jax.ShapeDtypeStruct((2, 2, 3), jnp.int8)
    assert jax.eval_shape(upsample, X, W).shape == (8, 128, 128, 64)
    for method in ("vjp", ("vjp", "vjp")):
        with pytest.raises(jtconv.Unsupported, match=r"on any platform: .* no derivative"):
            jax.eval_shape(lambda x, w, method=method: upsample(x, w, method), x, w)
    why = r"any platform: .*; method 'pallas' cannot do this dgrad on cpu: .* on cuda: .* on tpu: "
    with pytest.raises(jtconv.Unsupported, match=why):
        jax.eval_shape(lambda x, w: upsample(x, w, ("vjp", "pallas")), x, w)
    assert jax.eval_shape(lambda x, w: upsample(x, w, ("vjp", "gemm")), x, w).shape == (1, 6, 3)


LAYERS = {
    "wide": ((2, 8, 8, 64), (4, 4, 64, 32), 1),
    "depthwise": ((2, 8, 8, 64), (4, 4, 1, 64), 64),
    "3-D": ((2, 4, 4, 4, 64), (4, 4, 4, 64, 32), 1),
    "few channels": ((1, 32, 32, 4), (9, 9, 4, 64), 1),
}
CHOICES = {
    f"{layer}-{op}-{method}-{platform}": (layer, op, method, platform)
    for layer in LAYERS
    for op in ("conv_transpose", "conv")
    for method in ("auto", ("pallas", "auto"), "gemm")
    for platform in PLATFORMS
    if method != ("pallas", "auto") or layer in ("wide", "few channels")
}


@pytest.mark.parametrize(
    ("layer", "op", "method", "platform"),
    rows(CHOICES, ["wide-conv_transpose-auto-cuda", "few channels-conv-auto-tpu"]),
)
def test_explain_tells_what_is_lowered(layer, op, method, platform):
    """The method of every side on every platform, from a host that has only one of them."""
    x_shape, w_shape, groups = LAYERS[layer]
    x, w = (jax.ShapeDtypeStruct(shape, BF16) for shape in (x_shape, w_shape))
    if op == "conv" and groups == 1:
        w = jax.ShapeDtypeStruct((*w_shape[:-2], x_shape[-1], 32), BF16)
    options = {"stride": 2, "padding": 1, "groups": groups, "method": method}

    def loss(x, w):
        return jnp.sum(jnp.sin(getattr(jtconv, op)(x, w, **options)))

    program = jax.jit(jax.grad(loss, (0, 1))).trace(x, w).lower(lowering_platforms=(platform,))
    text = program.as_text(debug_info=True)
    plan = jtconv.explain(x, w, op=op, platform=platform, **options)
    assert plan.platform == plan.as_dict()["platform"] == platform
    assert f"platform {platform}" in str(plan)
    for side in plan.sides:
        names = {name for name in ALGORITHMS if f"jtconv_{side.side}_{name}" in text}
        assert names == {side.choice.method}


def test_platforms_differ():
    """Or the table above would prove nothing."""
    x, w = (jax.ShapeDtypeStruct(shape, BF16) for shape in LAYERS["wide"][:2])
    chosen = {
        platform: jtconv.explain(x, w, stride=2, padding=1, platform=platform).sides[0].choice
        for platform in PLATFORMS
    }
    assert chosen["cpu"] != chosen["cuda"] != chosen["tpu"]
    assert jtconv.explain(x, w, stride=2, padding=1).platform == jax.default_backend()


@pytest.mark.parametrize("platform", ["GPU", "metal", "", 1, ("cuda",)])
def test_an_unknown_platform_is_an_error_that_lists_the_known(platform):
    with pytest.raises(ValueError, match="platform must be one of cpu, cuda, rocm, tpu, got"):
        jtconv.explain(X, W, platform=platform)


def test_gpu_is_not_one_platform():
    with pytest.raises(ValueError, match=r"'cuda' \(NVIDIA\) or 'rocm' \(AMD\)"):
        jtconv.explain(X, W, platform="gpu")  # type: ignore[arg-type]


def test_only_the_platform_here_is_timed(monkeypatch):
    x, w, asked = np.ones((1, 4, 1)), np.ones((2, 1, 1)), []

    def noted(task):
        asked.append(task)
        return ()

    monkeypatch.setattr(jtconv.plan.explain, "timings", noted)
    jtconv.explain(x, w, platform="cpu", time=True)
    assert [task.platform for task in asked] == ["cpu"] * 3
    with pytest.raises(ValueError, match="the platform here, cpu, not on tpu"):
        jtconv.explain(x, w, platform="tpu", time=True)


def test_a_tuning_measures_what_runs_here():
    """Not the programs that are lowered for another platform meanwhile."""
    x, w = jnp.ones((1, 4, 2)), jnp.ones((2, 2, 3))
    with jtconv.tune() as tuning:
        jax.jit(jtconv.conv_transpose).trace(x, w).lower(lowering_platforms=("cuda", "tpu"))
        jax.jit(jtconv.conv).trace(x, w).lower(lowering_platforms=("cpu", "rocm"))
    assert [key.split()[:2] for key in tuning.rows] == [["fprop", "cpu"]]


def device(platform: str, version: str = "") -> Any:
    return SimpleNamespace(platform=platform, client=SimpleNamespace(platform_version=version))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (device("cpu"), "cpu"),
        (device("tpu"), "tpu"),
        (device("gpu", "PJRT C API\ncuda 12090"), "cuda"),
        (device("gpu", "PJRT C API\nROCM 60443"), "rocm"),
        (device("METAL"), "other"),
    ],
)
def test_the_platform_of_a_device(given, name):
    assert devices.platform_of(given) == name


def test_the_default_device_counts(monkeypatch):
    """As a device, or by its platform's name; without one, the first device."""
    monkeypatch.setattr(jax, "devices", lambda backend=None: [device(backend or "tpu")])
    assert devices.platform() == "tpu"
    with jax.default_device("cpu"):
        assert devices.platform() == "cpu"
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        assert devices.platform() == "cpu"


WITHOUT_A_DEVICE = """
import json, jax, jtconv
x, w = (jax.ShapeDtypeStruct(shape, "float32") for shape in ((1, 8, 8, 2), (4, 4, 2, 3)))
told = {"platform": jtconv.explain(x, w, stride=2, platform="cuda").platform}
told["shape"] = jtconv.output_shape(x.shape, w.shape, stride=2)
try:
    jtconv.explain(x, w, stride=2)
except RuntimeError as error:
    told["error"] = str(error)
print(json.dumps(told))
"""


@pytest.mark.parametrize(("platforms"), rows(["cuda", "tpu", "nonsense"], ["cuda"]))
def test_no_device_is_needed_to_explain_for_a_platform(platforms):
    """And where none is given and none is here, the error says what to do."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_DEVICE],
        env={**os.environ, "JAX_PLATFORMS": platforms},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["platform"] == "cuda" and told["shape"] == [1, 18, 18, 3]
    for words in (repr(platforms), "unset JAX_PLATFORMS", "platform, of cpu, cuda, rocm, tpu"):
        assert words in told["error"]


def test_linen_and_nnx_lower_for_where_a_kernel_is():
    for layer in (_linen, _nnx):
        x = jax.ShapeDtypeStruct((8, 16, 16, 32), jnp.float32)
        program = jax.jit(lambda x, layer=layer: layer(x, ("pallas", "gemm"))).trace(x)
        text = program.lower(lowering_platforms=("cpu",)).as_text(debug_info=True)
        assert "jtconv_dgrad_gemm" in text
