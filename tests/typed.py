"""Types as users see them: mypy and pyright over what README and the docstrings show.

    python -m tests.typed

A user's checker knows nothing of this repository's settings and looks at jtconv as at any installed
package. It must pass README's examples, those of every public docstring, and the lines of ``RIGHT``
with the types that they say; and of ``WRONG`` it must find a fault in every line.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jtconv

ROOT = Path(__file__).parents[1]
HEAD = """\
from typing import assert_type

import jax
import jax.numpy as jnp
from flax import linen, nnx

import jtconv
import jtconv.typing
from jtconv.typing import Method, MethodName, Padding, PaddingName

x, w = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 5))
rngs = nnx.Rngs(0)
"""
RIGHT = """\
assert_type(jtconv.conv_transpose(x, w, padding="same", stride=(2, 2)), jax.Array)
assert_type(jtconv.conv(x, w, padding=[(1, 1), (2, 0)], method=["taps", "auto"]), jax.Array)
assert_type(jtconv.conv(x, w, padding=[[1, 1], [2, 0]]), jax.Array)
assert_type(jtconv.output_shape(x.shape, w.shape, stride=2), tuple[int, ...])
assert_type(jtconv.explain(x, w, op="conv", padding="circular", platform="tpu"), jtconv.Plan)
assert_type(jtconv.nnx.ConvTranspose(2, 5, (3, 3), padding="CAUSAL", rngs=rngs)(x), jax.Array)
assert_type(jtconv.nnx.accelerate(nnx.Linear(2, 3, rngs=rngs)), nnx.Linear)
module: linen.ConvTranspose = jtconv.linen.ConvTranspose(5, (3, 3), 2, padding="REFLECT")
unet: nnx.Module = jtconv.models.UNet(3, 2, rngs=rngs)
size: jtconv.typing.PerAxis = (1, 2)
pads: Padding = [1, (2, 3)]
for method in jtconv.methods():
    assert_type(method, MethodName)
    jtconv.conv_transpose(x, w, method=method)
jtconv.streaming.conv_transpose(jnp.ones((3, 2, 5)), padding="EDGE").init((4, 2))
jtconv.initializers.variance_scaling(1.0, "fan_in", "normal", stride=2)
jtconv.interop.keras.conv_transpose(x, w, padding="same", data_format="channels_last")
jtconv.draw.draw((2, 2), (3, 3), view="zeros", theme="dark", stride=2).svg()
jtconv.upsampling.resize(x, 2, interpolation="cubic")
with jtconv.linen.accelerate():
    pass
"""
WRONG = """\
jtconv.conv_transpose(x, w, method="fast")
jtconv.conv_transpose(x, w, method=["fast"])
jtconv.conv_transpose(x, w, padding="smae")
jtconv.conv_transpose(x, w, strides=2)
jtconv.conv(x, w, output_padding=1)
jtconv.conv(x, w, padding="smae")
jtconv.output_shape(x.shape, w.shape, strides=2)
jtconv.output_shape(x.shape, w.shape, padding="smae")
jtconv.explain(x, w, strides=2)
jtconv.explain(x, w, op="deconv")
jtconv.explain(x, w, platform="gpu")
jtconv.conv_matrix(w, (4, 4, 2), padding="smae")
jtconv.max_pool_with_indices(x, 2, padding="CIRCULAR")
jtconv.nnx.ConvTranspose(2, 5, (3, 3), stride=2, rngs=rngs)
jtconv.nnx.ConvTranspose(2, 5, (3, 3), padding="smae", rngs=rngs)
jtconv.nnx.ConvTranspose(2, 5, (3, 3), method="fast", rngs=rngs)
jtconv.linen.ConvTranspose(5, (3, 3), stride=2)
jtconv.linen.ConvTranspose(5, (3, 3), padding="smae")
jtconv.streaming.conv(w, padding="smae")
jtconv.interop.keras.conv_transpose(x, w, padding="smae")
jtconv.interop.onnx.conv_transpose(x, w, auto_pad="SAME")
jtconv.interop.torch.conv_transpose2d(x, w, strides=2)
jtconv.interop.lax.conv_transpose(x, w, (2, 2), "smae")
jtconv.initializers.variance_scaling(1.0, "fan_im", "normal")
jtconv.upsampling.resize(x, 2, interpolation="liner")
jtconv.draw.draw((2, 2), (3, 3), view="stamp")
jtconv.draw.draw((2, 2), (3, 3), strides=2)
jtconv.nnxx.ConvTranspose
jtconv.nnx.Convtranspose
method: Method = "fast"
padding: PaddingName = "smae"
"""


def readme() -> Iterator[tuple[str, str]]:
    """A name and the text of each example of README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    yield from ((f"readme_{number}", example) for number, example in enumerate(examples))


def public_modules() -> list[ModuleType]:
    """jtconv, its public modules, and theirs."""
    names = [name for name in dir(jtconv) if isinstance(getattr(jtconv, name), ModuleType)]
    found = [jtconv, *(importlib.import_module(f"jtconv.{name}") for name in names)]
    return [*found, *(getattr(jtconv.interop, name) for name in jtconv.interop.__all__)]


def docstrings() -> Iterator[tuple[str, str]]:
    """A name and the examples of each public object, after what its own module has at hand."""
    seen: set[int] = set()
    for module in public_modules():
        for name in module.__all__:
            value = getattr(module, name)
            examples = doctest.DocTestParser().get_examples(inspect.getdoc(value) or "")
            if not examples or id(value) in seen:
                continue
            seen.add(id(value))
            lines = "".join(example.source for example in examples)
            yield f"{module.__name__}.{name}".replace(".", "_"), _beside(value) + lines


def _beside(value: Any) -> str:
    """Imports of what an example finds in its own module."""
    if inspect.ismodule(value):
        return ""
    found = vars(sys.modules[value.__module__])
    own = [name for name, other in found.items() if _public(name, other, value.__module__)]
    return (
        "import jax\nimport jax.numpy as jnp\nfrom flax import nnx\n"
        f"from {value.__module__} import {', '.join(own)}\n"
    )


def _public(name: str, value: Any, module: str) -> bool:
    return not name.startswith("_") and getattr(value, "__module__", None) == module


def by_mypy(folder: Path) -> str:
    """What mypy says of the files of a folder."""
    # Not of jtconv itself, which is checked by stricter settings; nor of frameworks without types.
    options = ["--follow-imports=silent", "--ignore-missing-imports", "--config-file="]
    return _output([sys.executable, "-m", "mypy", *options, "."], folder)


def by_pyright(folder: Path) -> str:
    """What pyright says of them."""
    # A line of a docstring may be there to show its value.
    settings = '{"reportUnusedExpression": false, "reportMissingImports": false}'
    (folder / "pyrightconfig.json").write_text(settings, encoding="utf-8")
    return _output([sys.executable, "-m", "pyright", "--pythonpath", sys.executable], folder)


CHECKERS: dict[str, Callable[[Path], str]] = {"mypy": by_mypy, "pyright": by_pyright}


def _output(command: list[str], folder: Path) -> str:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    where = os.environ | {"MYPYPATH": str(ROOT), "PYTHONPATH": path}
    run = subprocess.run(
        command, cwd=folder, env=where, capture_output=True, text=True, check=False
    )
    if run.returncode not in (0, 1):  # 1 where it found a fault
        raise RuntimeError(f"{' '.join(command)}: {run.stdout}{run.stderr}")
    return run.stdout


def faults(output: str) -> dict[tuple[str, int], str]:
    """The first fault of each line of each file, as either checker prints them."""
    found: dict[tuple[str, int], str] = {}
    for name, line, message in re.findall(r"(\w+)\.py:(\d+):(?:\d+)?.*?error: (.*)", output):
        found.setdefault((name, int(line)), message)
    return found


def differences(output: str, wrong: str = WRONG, head: str = HEAD) -> list[str]:
    """Where a checker did not say what it should: faults that are none, and those it passed."""
    found, first = faults(output), head.count("\n") + 1
    lines = dict(enumerate(wrong.splitlines(), first))
    expected = {("wrong", number) for number in lines}
    more = [f"{name}.py:{line}: {found[name, line]}" for name, line in found.keys() - expected]
    passed = [f"passed: {lines[number]}" for _, number in expected - found.keys()]
    return sorted(more) + sorted(passed)


def write(folder: Path) -> int:
    """All that is to be checked, one file each; how many."""
    files = {"right": HEAD + RIGHT, "wrong": HEAD + WRONG, **dict(readme()), **dict(docstrings())}
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return len(files)


def main() -> int:
    """Check all of it by both; the exit status."""
    failed = False
    for checker, check in CHECKERS.items():
        with tempfile.TemporaryDirectory() as folder:
            count = write(Path(folder))
            found = differences(check(Path(folder)))
        print(f"{checker}: {count} files, {len(found)} differences", *found, sep="\n  ")
        failed = failed or bool(found)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
