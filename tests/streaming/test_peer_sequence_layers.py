"""sequence-layers: its causal layers, which have a step of their own, are ours."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import meta

from jtconv import streaming
from tests.compare import assert_close
from tests.selection import exhaustive

pytestmark = [pytest.mark.peer("sequence_layers"), exhaustive]

NUMBERS = [n for n in itertools.product((1, 2, 5, 8), (1, 2, 3), (1, 2)) if min(n[1:]) == 1]


@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), NUMBERS)
def test_causal_layers(transposed, kernel, stride, dilation, rng):
    import sequence_layers.jax as peer

    settings = {"kernel_size": kernel, "strides": stride, "dilation_rate": dilation}
    theirs = peer.Conv1DTranspose if transposed else peer.Conv1D
    layer = theirs.Config(filters=3, padding="causal", **settings).make()
    x = jnp.asarray(rng.normal(size=(2, 6 * stride, 4)), "float32")
    sequence = peer.Sequence.from_values(x)
    y, variables = layer.init_with_output(jax.random.key(0), sequence, training=False)
    parameters = meta.unbox(variables)["params"]
    w, bias = (jnp.asarray(parameters[name], "float32") for name in ("kernel", "bias"))
    ours = streaming.conv_transpose if transposed else streaming.conv
    stream = ours(w, bias, stride=stride, dilation=dilation, flip_kernel=transposed)
    state, pieces = stream.init(x.shape), []
    for piece in jnp.split(x, [2 * stride, 3 * stride], 1):
        out, state = stream.step(piece, state)
        pieces.append(out)
    assert stream.tail == stream.latency == 0
    assert_close(np.concatenate(pieces, 1), y.values)
