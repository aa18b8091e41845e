"""``python -m jtconv.models.train``."""

import sys

from jtconv.extras import MissingExtra


def main() -> None:
    """Run the command; in one line, what to install where that is missing."""
    try:
        from jtconv.models.train import command
    except MissingExtra as missing:
        sys.exit(str(missing))
    command.main()


if __name__ == "__main__":
    main()
