"""How columns are named."""


def label(method: str) -> str:
    """Our column: ``jtconv``, or ``jtconv[gemm]`` and the like."""
    return "jtconv" if method == "auto" else f"jtconv[{method}]"


def is_ours(contender: str) -> bool:
    """Whether a column is jtconv, with whatever method."""
    return contender.startswith("jtconv")
