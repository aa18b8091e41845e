"""``python -m jtconv.interop``: what the words of every framework crop."""

from jtconv.interop import migration

print(migration.table(), end="")
