"""An installed jtconv, away from its checkout and with nothing but what it needs: does it work?"""

import importlib.metadata
import importlib.resources
import pathlib
import sys

import jax
import jax.numpy as jnp

import jtconv

home = pathlib.Path(jtconv.__file__).resolve()
assert home.is_relative_to(pathlib.Path(sys.prefix).resolve()), f"{home} is not the installed one"
assert jtconv.__version__ == importlib.metadata.version("jtconv")
assert importlib.resources.files("jtconv").joinpath("py.typed").is_file()

x, w = jnp.arange(4.0).reshape(1, 4, 1), jnp.ones((3, 1, 1))
y = jtconv.conv_transpose(x, w, stride=2)
assert y[0, :, 0].tolist() == [0, 0, 1, 1, 3, 2, 5, 3, 3], y
gradient = jax.grad(lambda x: jtconv.conv_transpose(x, w, stride=2).sum())(x)
assert gradient.ravel().tolist() == [3.0] * 4, gradient
for method in jtconv.methods():
    if method != "pallas":
        other = jtconv.conv_transpose(x, w, stride=2, method=method)
        assert jnp.allclose(other, y, atol=1e-5), method
assert "conv_transpose" in str(jtconv.explain(x, w, stride=2))
print(f"jtconv {jtconv.__version__} works, from {home.parent}")
