"""Checkpoints that are whole or not there, kept by orbax.

A checkpoint is written beside its final name and renamed when it is complete, so whenever the
process is killed the newest one that has a name can be trusted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp


class Checkpoint(NamedTuple):
    """All that a run consists of after ``step`` steps."""

    step: int
    variables: Any
    log: dict[str, Any]


class Checkpoints:
    """The last two checkpoints of a run, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        options = ocp.CheckpointManagerOptions(
            max_to_keep=2, cleanup_tmp_directories=True, enable_async_checkpointing=False
        )
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write one; when this returns it survives a kill."""
        args = ocp.args.Composite(
            variables=ocp.args.StandardSave(checkpoint.variables),
            log=ocp.args.JsonSave(checkpoint.log),
        )
        self._manager.save(checkpoint.step, args=args)

    def newest(self, like: Any) -> Checkpoint | None:
        """The newest one, its variables shaped as those of ``like``; None in a fresh run."""
        step = self._manager.latest_step()
        if step is None:
            return None
        shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        args = ocp.args.Composite(
            variables=ocp.args.StandardRestore(shapes), log=ocp.args.JsonRestore()
        )
        found = self._manager.restore(step, args=args)
        return Checkpoint(step, found["variables"], found["log"])
