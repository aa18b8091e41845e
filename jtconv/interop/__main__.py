"""``python -m jtconv.interop``: what the padding of every framework crops."""

from jtconv.interop import migration

print(migration.table(), end="")
