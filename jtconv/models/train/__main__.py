"""``python -m jtconv.models.train``."""

from jtconv.models.train.command import main

if __name__ == "__main__":
    main()
