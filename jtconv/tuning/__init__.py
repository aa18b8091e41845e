"""tune: the choice of methods by measurement, as a value to keep, save and enter."""

from jtconv.tuning.recording import tune
from jtconv.tuning.timing import Timing, timings
from jtconv.tuning.tuning import Tuning, key

__all__ = ["Timing", "Tuning", "key", "timings", "tune"]
