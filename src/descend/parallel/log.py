"""The answers of a run, packed: a worker that joins late takes its first steps on them instead of asking anything."""

from array import array

from descend.errors import StateMismatch

__all__ = ["Log"]


class Log:
    """Answers in the order of the questions, with the place at which every step begins.

    An answer is kept as its bytes. Steps are consecutive; `begin` with any other step starts the log anew.

    >>> log = Log()
    >>> log.begin(7); log.add(b"a"); log.begin(8); log.add(b"bc")
    >>> Log.unpack(log.since(8)), Log.unpack(log.since(7))
    ([b'bc'], [b'a', b'bc'])
    """

    def __init__(self) -> None:
        self.first = 0
        self._questions, self._places = array("q"), array("q")  # of each step: its first question, its first byte
        self._sizes, self._data = array("q"), bytearray()  # of each question

    def begin(self, t: int) -> None:
        """The questions that follow belong to step t."""
        if t != self.first + len(self._questions):
            self.__init__()
            self.first = t
        self._questions.append(len(self._sizes))
        self._places.append(len(self._data))

    def add(self, answer: bytes) -> None:
        """Keep the answer to one question."""
        self._sizes.append(len(answer))
        self._data += answer

    def since(self, t: int) -> bytes:
        """The answers of steps t and later, packed.

        Raises:
            StateMismatch: they are not all here.
        """
        step = t - self.first
        if step == len(self._questions):  # it has not begun: there is nothing to tell
            return b""
        if not 0 <= step < len(self._questions):
            raise StateMismatch(
                f"the answers of this run are kept from step {self.first} on, and a replica at step {t} asked for "
                "those since; bring it to a later step first: load a saved state, or replay the trajectory file"
            )
        sizes = self._sizes[self._questions[step] :]
        head = array("q", [len(sizes)]) + sizes
        return head.tobytes() + bytes(self._data[self._places[step] :])

    @staticmethod
    def unpack(packed: bytes) -> list[bytes]:
        """What `since` packed, one item per question."""
        if not packed:
            return []
        count = int.from_bytes(packed[:8], "little")
        sizes, at, answers = array("q", packed[8 : 8 + 8 * count]), 8 + 8 * count, []
        for size in sizes:
            answers.append(packed[at : at + size])
            at += size
        return answers
