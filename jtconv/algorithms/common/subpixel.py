"""The sub-pixel form: all phases as one stride-1 problem between x and space-to-depth of y.

Where the kernel is a multiple of the stride, or filled up to one, all phases read the same
inputs: a block of ``s`` outputs per axis is one output with ``s`` times the channels.  That
stride-1 problem is computed in one of three forms: `operand_swap`, with im2col of the narrow x,
`mec`, where there are many taps and x is not narrow, or `stride1`, XLA's own convolution.

Shi et al., "Is the deconvolution layer the same as a convolutional layer?" (arXiv:1609.07009).
"""

from __future__ import annotations

import math
from dataclasses import replace

import jax
import jax.numpy as jnp

from jtconv.algorithms.algorithm import Sides
from jtconv.algorithms.common import arrays, mec, operand_swap, stride1, work
from jtconv.algorithms.common.work import Work
from jtconv.problem.geometry import Axis, Geometry
from jtconv.problem.task import Task

# im2col goes tap by tap: past this many XLA takes long to compile it.
MOST_TAPS = 64

# Phases of so many taps are worth a tap of zeros, so that all have as many.
MANY_TAPS = 4


def possible(g: Geometry) -> bool:
    """Whether the phases of every axis read the same inputs, or nearly."""
    return all(a.stride == 1 or (a.dilation == 1 and _is_nearly_whole(a)) for a in g)


def _is_nearly_whole(a: Axis) -> bool:
    return a.kernel % a.stride == 0 or a.kernel >= MANY_TAPS * a.stride


def taps(g: Geometry) -> int:
    """Taps of the longest phase."""
    return math.prod(-(-a.kernel // a.stride) for a in g)


def dgrad(x: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """x, w -> y."""
    return _to_y(_form(task).dgrad(x, _of_kernel(w, task), _stride1(task)), task)


def fprop(y: jax.Array, w: jax.Array, task: Task) -> jax.Array:
    """y, w -> x."""
    return _form(task).fprop(_of_y(y, task), _of_kernel(w, task), _stride1(task))


def wgrad(x: jax.Array, y: jax.Array, task: Task) -> jax.Array:
    """x, y -> w."""
    return _to_kernel(_form(task).wgrad(x, _of_y(y, task), _stride1(task)), task)


def im2col_elements(task: Task) -> int:
    """Numbers in im2col of x."""
    return task.x_elements * taps(task.geometry)


def mec_elements(task: Task) -> int:
    """Numbers in the copies of `mec`, where it can do this."""
    return mec.copied_elements(_stride1(task))


def held_bytes(task: Task) -> int:
    """Bytes of the copies that are held at once, in the form taken."""
    if _form(task) is stride1 and task.side != "wgrad":
        return 0
    if possible(task.geometry) and _form(task) is mec:
        return mec.held_bytes(_stride1(task))
    return im2col_elements(task) * task.accumulator.itemsize


def work_of(task: Task) -> Work:
    """That of the stride-1 problem in the form taken, and of the blocks around it."""
    g, o, problem = task.geometry, task.y_channels_per_group, _stride1(task)
    form, trivial = _form(task), taps(g) * math.prod(g.stride) == 1
    kernel = {} if trivial else work.moved("copied", problem.w_elements, o)
    if form is operand_swap:
        inner = operand_swap.work_of(problem, kernel)
    elif form is mec:
        inner = mec.work_of(problem, kernel)
    else:
        inner = work.total(stride1.work_of(problem), kernel)
    reshaped = math.prod(g.stride) == 1 or (len(g) == 1 and g.groups == 1)
    if reshaped:
        return inner
    return work.total(inner, work_of_blocks(task, o * g.stride[-1]))


def work_of_blocks(task: Task, run: int) -> Work:
    """y cut into blocks of one stride, or put together from them."""
    how = "depth to space" if task.side == "dgrad" else "space to depth"
    return work.moved(how, task.y_elements, run)


def has_too_many_taps(task: Task) -> bool:
    """Whether the kernel gradient would gather so many taps that XLA compiles it for long."""
    many = taps(task.geometry) > MOST_TAPS
    return many and not (possible(task.geometry) and _form(task) is mec)


def _form(task: Task) -> Sides:
    """How the stride-1 problem is computed: what copies least, where XLA:CPU can compile it."""
    if task.platform != "cpu":
        return stride1
    few = taps(task.geometry) <= MOST_TAPS
    can = mec.possible(_stride1(task).geometry)
    if can and not (few and 2 * im2col_elements(task) <= mec_elements(task)):
        return mec
    return operand_swap if few else stride1


def _stride1(task: Task) -> Task:
    """The stride-1 task: only the blocks that the output touches are computed."""
    axes = tuple(
        Axis(a.x_size, -(-a.kernel // a.stride), block_count(a), 1, a.dilation, a.lo // a.stride)
        for a in task.geometry
    )
    channels = math.prod(task.geometry.stride) * task.y_channels
    return replace(task, geometry=Geometry(axes, task.groups), y_channels=channels)


# Blocks of ``stride`` cells as channels, the groups first: how y and the kernel look in that task.


def block_count(axis: Axis) -> int:
    """Blocks that the output touches, counted from the start of the full output."""
    return -(-(axis.lo % axis.stride + axis.y_size) // axis.stride)


def _of_y(y: jax.Array, task: Task) -> jax.Array:
    """``y`` as ``(N, *blocks, g * s * o)``."""
    g = task.geometry
    sizes = [block_count(a) * a.stride for a in g]
    whole = arrays.window(y, [-(a.lo % a.stride) for a in g], sizes)
    return _joined(arrays.space_to_depth(whole, g.stride), task)


def _to_y(blocks: jax.Array, task: Task) -> jax.Array:
    """The inverse."""
    starts = [a.lo % a.stride for a in task.geometry]
    whole = arrays.depth_to_space(_split(blocks, task))
    return arrays.window(whole, starts, task.geometry.y_size)


def _of_kernel(w: jax.Array, task: Task) -> jax.Array:
    """``(*k, c, g * o)`` to ``(*T, c, g * s * o)``, where ``T*s`` is ``k`` or a little more."""
    c_first = arrays.pad_space(
        jnp.moveaxis(w, -2, 0), [(0, -a.kernel % a.stride) for a in task.geometry]
    )
    blocks = arrays.space_to_depth(c_first, task.geometry.stride)
    return jnp.moveaxis(_joined(blocks, task), 0, -2)


def _to_kernel(w: jax.Array, task: Task) -> jax.Array:
    """The inverse."""
    blocks = _split(jnp.moveaxis(w, -2, 0), task)
    w = jnp.moveaxis(arrays.depth_to_space(blocks), 0, -2)
    return w[tuple(slice(k) for k in task.geometry.kernel)]


def _split(blocks: jax.Array, task: Task) -> jax.Array:
    """``(N, *Q, g * s * o)`` to ``(N, *Q, *s, g * o)``."""
    g, rank = task.geometry, len(task.geometry)
    split = (g.groups, *g.stride, task.y_channels_per_group)
    blocks = jnp.moveaxis(blocks.reshape(*blocks.shape[: 1 + rank], *split), 1 + rank, -2)
    return blocks.reshape(*blocks.shape[:-2], task.y_channels)


def _joined(blocks: jax.Array, task: Task) -> jax.Array:
    """``(N, *Q, *s, g * o)`` to ``(N, *Q, g * s * o)``."""
    g, rank = task.geometry, len(task.geometry)
    blocks = blocks.reshape(*blocks.shape[:-1], g.groups, task.y_channels_per_group)
    blocks = jnp.moveaxis(blocks, -2, 1 + rank)
    return blocks.reshape(*blocks.shape[: 1 + rank], math.prod(blocks.shape[1 + rank :]))
