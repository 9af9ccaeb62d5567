"""What logs say, in a file or in memory, about trials that are not as somebody believed."""

from descend.log.row import FINISHED

__all__ = ["died", "refusal", "unknown"]


def died(attempts: int) -> str:
    """Why a trial failed that so many workers have begun."""
    return "its worker died" if attempts == 1 else f"its worker died {attempts} times"


def unknown(number: int, name: str) -> str:
    """There is no such trial."""
    return f"there is no trial {number} in the study {name!r}"


def refusal(number: int, owner: str, state: str, holder: str | None) -> str:
    """Why a trial takes no answer from somebody."""
    if state in FINISHED:
        return f"trial {number} is {state} already; it keeps its first answer"
    if state == "queued":
        return f"trial {number} is queued, and nobody has begun it; claim it first"
    return f"trial {number} is being made by {holder} and not by {owner}; the answer of {holder} counts"
