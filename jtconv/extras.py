"""Packages that only parts of jtconv need, and an error that names the extra that brings them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# What pip calls a package where that is not the name of its module.
_PACKAGES = {"PIL": "pillow", "orbax": "orbax-checkpoint", "sklearn": "scikit-learn"}


class MissingExtra(ImportError):
    """A package is not installed that comes with one of jtconv's extras."""


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Around imports: whatever is missing is told together with the extra to install.

    >>> with needs("demo"):
    ...     import no_such_package
    Traceback (most recent call last):
    ...
    jtconv.extras.MissingExtra: this needs no_such_package: python -m pip install 'jtconv[demo]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = str(error.name).partition(".")[0]
        package = _PACKAGES.get(module, module)
        raise MissingExtra(
            f"this needs {package}: python -m pip install 'jtconv[{extra}]'", name=error.name
        ) from None
