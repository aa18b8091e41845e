"""Compiling for an H100 on a machine without one, and what the compiled program launches there.

XLA's compiler for GPUs and NVIDIA's assembler need no GPU, no CUDA and no cuDNN.  They say which
kernels and library calls there are, and between which arrays; nobody says how long one takes.  So
a kernel takes what its bytes take at 85 % of the bandwidth, or its products at 75 % of what the
tensor cores could make (float32 as TF32), or on CUDA cores, whichever is most, and 3 us more.

Nothing is tuned here: products are XLA's own kernels where a GPU might take cuBLAS's, and of cuDNN
the call is known, not which of its algorithms runs.  Bytes are each operand and result of a kernel
once, what lies in the cache included.
"""

from __future__ import annotations

import functools
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding

from bench.compiled import hlo
from bench.compiled.hlo import Instruction
from jtconv.problem.task import Task

PLATFORM = "cuda"
PLUGIN = ("jax-cuda12-plugin", "jax-cuda12-pjrt")
ASSEMBLER = "nvidia-cuda-nvcc-cu12"

H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_core: 233472
  shared_memory_per_block_optin: 232448
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 device_memory_size: 84929347584
  cuda_compute_capability { major: 9 }
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 28 }
runtime_version { major: 12 minor: 9 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
BYTES_PER_US = 0.85 * 3.352e6
# By the bytes of an operand: int8, bfloat16, TF32 and float64.
PRODUCTS_PER_US = {1: 0.75 * 989e6, 2: 0.75 * 494e6, 4: 0.75 * 247e6, 8: 0.75 * 33e6}
LOOP_PRODUCTS_PER_US = 17e6  # half of what CUDA cores could make
LAUNCH_US = 3.0

_NOTHING = (
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id",
)  # fmt: skip
_INNER = r"(?:body|to_apply|calls|true_computation|false_computation)=%([\w.\-]+)"


def missing() -> str | None:
    """Why nothing can be compiled for GPUs here; None where it can."""
    version = metadata.version("jaxlib")
    install = f"pip install {' '.join(f'{name}=={version}' for name in PLUGIN)} {ASSEMBLER}"
    for name in (*PLUGIN, ASSEMBLER):
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            return f"{name} is not installed: {install}"
        if name in PLUGIN and found != version:
            return f"{name} is {found} and jaxlib {version}: {install}"
    try:
        device()
    except Exception as error:  # whatever XLA finds wrong
        return f"XLA cannot compile for GPUs here ({' '.join(str(error).split())[:200]}): {install}"
    return None


def versions() -> dict[str, str]:
    """The compiler, by the packages that it comes with."""
    names = (PLUGIN[0], ASSEMBLER, "jax", "jaxlib")
    return {"compiler": "XLA:GPU", **{name: metadata.version(name) for name in names}}


@functools.cache
def device() -> SingleDeviceSharding:
    """An H100 to compile for; asked for before any other device, it leaves a GPU alone."""
    from jax.experimental import topologies

    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] = "1"
    topology = topologies.get_topology_desc(platform=PLATFORM, target_config=H100, topology="1x1x1")
    return SingleDeviceSharding(topology.devices[0])


def compiled(function: Callable[..., Any], arguments: Sequence[jax.ShapeDtypeStruct]) -> Any:
    """The program for this chip."""
    placed = [jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=device()) for a in arguments]
    return jax.jit(function).trace(*placed).lower(lowering_platforms=(PLATFORM,)).compile()


@dataclass(frozen=True)
class Kernel:
    """One launch, or ``times``: a library's, with its name, or one that XLA wrote."""

    name: str
    library: str  # or nothing
    bytes: float
    multiply_adds: float  # zeros included
    us: float
    times: int = 1


@dataclass
class Cost:
    """What a program takes."""

    kernels: list[Kernel] = field(default_factory=list)
    temporary_bytes: int = 0
    text: str = ""
    cycles: None = None  # nobody knows
    lost: None = None

    @property
    def us(self) -> float:
        """By the model."""
        return sum(k.us * k.times for k in self.kernels)

    @property
    def bytes(self) -> float:
        """Moved to and from main memory, or its cache."""
        return sum(k.bytes * k.times for k in self.kernels)

    @property
    def multiply_adds(self) -> float:
        """Of all kernels, zeros included."""
        return sum(k.multiply_adds * k.times for k in self.kernels)

    @property
    def count(self) -> int:
        """Kernels launched."""
        return sum(k.times for k in self.kernels)

    @property
    def calls(self) -> int:
        """Those of a library."""
        return sum(k.times for k in self.kernels if k.library)

    def calls_of(self, library: str) -> list[str]:
        """The calls that have this in their name."""
        return [k.library for k in self.kernels if library in k.library for _ in range(k.times)]


def meter(
    function: Callable[..., Any],
    arguments: Sequence[jax.ShapeDtypeStruct],
    chip: str,
    free: tuple[Sequence[bool], bool] | None = None,
) -> Cost:
    """Compile and count; arrays are row-major, as they are on every GPU."""
    program = compiled(function, arguments)
    return cost(program.as_text(), program.memory_analysis().temp_size_in_bytes)


def floor_us(task: Task, chip: str) -> float:
    """The least that a side can take: one kernel that moves its operands once, or its useful
    products."""
    products = task.multiply_adds / _products_per_us(jnp.dtype(task.dtype).itemsize)
    return max(task.operand_bytes / BYTES_PER_US, products) + LAUNCH_US


def cost(text: str, temporary_bytes: int) -> Cost:
    """The cost of a program, given its text."""
    bodies, entry = hlo.computations(text)
    return Cost(list(_kernels(bodies, entry, 1)), temporary_bytes, text)


def _kernels(bodies: dict[str, list[Instruction]], name: str, times: int) -> Iterator[Kernel]:
    """What a computation launches that runs so often; of branches, all."""
    shapes = {i.name: i.shape for i in bodies[name]}
    for i in bodies[name]:
        if i.opcode in _NOTHING or i.opcode.endswith("-done"):
            continue
        if i.opcode in ("while", "call", "conditional", "async-start"):
            trips = i.attribute(r'"known_trip_count":\{"n":"(\d+)"')
            inner = re.findall(_INNER, i.rest)
            inner += hlo.names(i.attribute(r"branch_computations=\{([^}]*)\}") or "")
            for body in inner:
                yield from _kernels(bodies, body, times * int(trips or 1))
        else:
            yield _kernel(i, shapes, bodies, times)


def _kernel(
    i: Instruction, shapes: dict[str, str], bodies: dict[str, list[Instruction]], times: int
) -> Kernel:
    workspace = re.compile(r"u8\[\d+\]\S*")
    result = Instruction(i.name, workspace.sub("", i.shape), i.opcode, i.rest)
    moved = hlo.moved_bytes(result, shapes, bodies)
    fused = bodies.get(i.attribute(r"calls=%([\w.\-]+)") or "", [])
    inside = {j.name: j.shape for j in fused}
    products = [_products(j, inside) for j in fused] + [_products(result, shapes)]
    on_tensor_cores = sum(number / rate for number, rate in products)
    loops = sum(_loop_products(j) for j in fused)
    library = i.attribute(r'custom_call_target="([^"]+)"') or ""
    slowest = max(moved / BYTES_PER_US, on_tensor_cores + loops / LOOP_PRODUCTS_PER_US)
    made = sum(number for number, _ in products) + loops
    return Kernel(i.name, library, moved, made, slowest + LAUNCH_US, times)


def _products_per_us(itemsize: int) -> float:
    return PRODUCTS_PER_US[min(max(itemsize, 1), 8)]


def _products(i: Instruction, shapes: dict[str, str]) -> tuple[float, float]:
    """Multiply-adds of one product or convolution, and how many a us there may be."""
    gemm = i.opcode == "custom-call" and "gemm" in (i.attribute(r'target="([^"]+)"') or "")
    window = i.attribute(r"window=\{size=([\dx]+)")
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", i.rest)
    operands = [shapes.get(name, "") for name in i.operands[:2]]
    if not (i.opcode == "dot" or gemm or labels) or not all(operands):
        return 0.0, 1.0
    rate = _products_per_us(int(hlo.item_bytes(operands[0])))
    a, b, out = (hlo.sizes(shape) for shape in (operands[0], operands[-1], i.shape))
    if not labels:
        found = i.attribute(r'lhs_contracting_dim(?:ension)?s"?[=:][{\[]([\d", ]+)') or ""
        contracted = [a[int(n)] for n in re.findall(r"\d+", found)]
        return math.prod(out) * math.prod(contracted), rate
    taps = math.prod(int(n) for n in window.split("x")) if window else 1
    if "BackwardInput" in i.rest:  # of y's shape is the first operand: each meets every tap
        return math.prod(a) * taps * out[labels[3].index("f")] / _groups(i), rate
    if "BackwardFilter" in i.rest:
        return math.prod(b) * taps * a[labels[1].index("f")] / _groups(i), rate
    return math.prod(out) * taps * b[labels[2].index("i")], rate


def _groups(i: Instruction) -> int:
    return int(i.attribute(r"feature_group_count=(\d+)") or 1)


def _loop_products(i: Instruction) -> float:
    """Products of a fused loop, which CUDA cores make."""
    floats = re.match(r"(?:bf|f|c)\d+\[", i.shape)
    return float(math.prod(hlo.sizes(i.shape))) if i.opcode == "multiply" and floats else 0.0
