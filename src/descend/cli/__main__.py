"""``python -m descend.cli`` is the program ``descend``."""

from descend.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
