"""explain: what a call would do, as a value that prints as a table."""

from jtconv.plan.axes import AxisPlan
from jtconv.plan.plan import MethodRow, Plan, SidePlan, StreamPlan

__all__ = ["AxisPlan", "MethodRow", "Plan", "SidePlan", "StreamPlan"]
