"""The file of a recorded run: what was decided at every step, from which the weights can be made again.

With seeded directions a step is a pure function of (key, step number, weights of the directions, learning rates), so
a run of any model is a header and a few bytes a step (Malladi et al. 2023, "Fine-tuning language models with just
forward passes", section 2.1, store a seed and one number). Everything is little-endian::

    magic (8 bytes)  version u32  length u32  header (JSON)  CRC-32 u32     then frames, one after another:

    check u32 = tag << 24 | low 24 bits of the chain     payload, by tag:
        STEP      n float64, one weight per direction        REJECTED  nothing: the step failed and moved nothing
        RATES     one float64 per parameter group            CHECK     8 bytes, the digest of the weights here
        SHAPE, SETTINGS, SPENT, SNAPSHOT   length u32, its complement u32, JSON

The chain is one running CRC-32 over the header and every tag and payload so far, so a frame that was swapped, lost or
brought from elsewhere is found as surely as a flipped bit. Lengths are known without guessing: n is in the last
SHAPE, and a written length has its complement beside it. Tags differ in at least four bits, and none is 0.

What a killed process leaves behind is a prefix of the file: it ends within a frame. That frame is dropped and
reported; so are zeros after the last frame, and a last frame whose checksum fails, which a power failure may leave.
Anything wrong before that is an error.
"""

import json
import math
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from descend.errors import DescendError, InvalidValue, StateMismatch

__all__ = [
    "Damaged",
    "Event",
    "Frame",
    "Header",
    "Tag",
    "Torn",
    "Trajectory",
    "first_chain",
    "frame",
    "read_header",
    "write_header",
]

MAGIC = b"descend\x01"
VERSION = 1
LONGEST_HEADER = 2**28
_OPENING = struct.Struct("<8sII")
_WORD = struct.Struct("<I")
_LENGTH = struct.Struct("<II")


class Damaged(DescendError, ValueError):
    """A recorded run has been altered or has lost bytes before its end.

    The message says where, and how far the file can be read: ``replay(..., until=that step)`` still works.
    """


class Tag(IntEnum):
    """What a frame says; any two differ in at least four bits."""

    STEP = 0x0F
    REJECTED = 0x33
    RATES = 0x3C
    CHECK = 0x55
    SHAPE = 0x5A
    SETTINGS = 0x66
    SNAPSHOT = 0x69
    SPENT = 0x96
    PACE = 0x99


@dataclass(frozen=True)
class Header:
    """Which run it is.

    Args:
        names, shapes, dtypes: of the parameters, in the order of the point.
        digests: 16 hexadecimal digits per parameter, of the bytes it started from.
        groups: number of parameters of each parameter group.
        key: the run's seed.
        parts, rounding: of the optimizer, as text, see `parts_text`.
        start, rejected, ledger: steps taken, steps rejected, and evaluations before the first recorded step.
        noise, update: versions of the law that makes directions, and of the update that uses them.
        threads: of torch, on which the last bit of a bfloat16 sum may depend.
        made_by: the versions that wrote it, for people.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    digests: tuple[str, ...]
    groups: tuple[int, ...]
    key: int
    parts: tuple[str, ...]
    rounding: str = "Nearest()"
    start: int = 0
    rejected: int = 0
    ledger: dict[str, Any] = field(default_factory=dict)
    noise: int = 1
    update: int = 1
    threads: int = 1
    made_by: str = ""

    @property
    def size(self) -> int:
        """Number of elements of the point."""
        return sum(math.prod(shape) for shape in self.shapes)


class Frame(NamedTuple):
    """A frame that was read: its tag, payload, and the bytes start..stop it takes in the file."""

    tag: Tag
    payload: bytes
    start: int
    stop: int


class Torn(NamedTuple):
    """A dropped end: the byte where it begins, how many bytes, and the number of whole steps before it."""

    offset: int
    size: int
    step: int


class Event(NamedTuple):
    """What a frame means in its place.

    Fields: tag; t, the number of steps taken before it; weights, one list per term of a step's direction; rates and
    settings, those in force; spent, what a step adds to the ledger; payload, of a CHECK the digest and of a SNAPSHOT
    its JSON.
    """

    tag: Tag
    t: int
    weights: list[list[float]]
    rates: tuple[float, ...]
    settings: Any
    spent: Any
    payload: bytes


def write_header(header: Header) -> bytes:
    """The bytes a file begins with."""
    text = json.dumps(asdict(header), separators=(",", ":")).encode()
    start = _OPENING.pack(MAGIC, VERSION, len(text)) + text
    return start + _WORD.pack(zlib.crc32(start))


def read_header(data: bytes, path: str) -> tuple[Header, int]:
    """The header of a file and where it ends.

    Raises:
        StateMismatch: it is another kind of file, or of another version.
        Damaged: its checksum fails.
    """
    if len(data) < _OPENING.size or data[:8] != MAGIC:
        raise StateMismatch(f"{path} is not a recorded run: it does not begin with {MAGIC!r}")
    _, version, length = _OPENING.unpack_from(data)
    if version != VERSION:
        raise StateMismatch(f"{path} is a recorded run of version {version}; this descend reads version {VERSION}")
    stop = _OPENING.size + length
    whole = length <= LONGEST_HEADER and len(data) >= stop + 4
    if not whole or _WORD.unpack_from(data, stop)[0] != zlib.crc32(data[:stop]):
        raise Damaged(f"{path} is damaged in its header, the first {stop + 4} bytes; nothing can be made from it")
    fields: dict[str, Any] = json.loads(data[_OPENING.size : stop])
    if set(fields) != set(Header.__dataclass_fields__):
        raise StateMismatch(f"{path} has the header fields {sorted(fields)}, which this descend does not know")
    found: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    found["shapes"] = tuple(map(tuple, fields["shapes"]))
    return Header(**found), stop + 4


def first_chain(header: bytes) -> int:
    """The chain at the end of a header: its checksum. To run over that too would give the same for every header."""
    return _WORD.unpack(header[-4:])[0]


def frame(tag: Tag, payload: bytes, chain: int) -> tuple[bytes, int]:
    """The bytes of a frame after `chain`, and the chain after it; JSON payloads get their length here."""
    if tag in _WITH_LENGTH:
        payload = _LENGTH.pack(len(payload), len(payload) ^ 0xFFFFFFFF) + payload
    chain = zlib.crc32(payload, zlib.crc32(bytes([tag]), chain))
    return _WORD.pack(tag << 24 | chain & 0xFFFFFF) + payload, chain


_WITH_LENGTH = (Tag.SHAPE, Tag.SETTINGS, Tag.SPENT, Tag.SNAPSHOT, Tag.PACE)
_IN_FORCE = (Tag.RATES, Tag.SHAPE, Tag.SETTINGS, Tag.SPENT, Tag.PACE)
_TAGS = {int(tag): tag for tag in Tag}


class Trajectory:
    """A recorded run as it stands in a file, checked from end to end; nothing is made of it yet.

    Args:
        path: the file.
        until: read no further than this many steps; default all.

    Attributes:
        header: which run it is, a `Header`.
        steps, rejected: how many steps it holds, and how many of them moved nothing.
        probes: how many weights, one per direction that was asked along.
        torn: what was dropped at the end of the file, a `Torn`, or None.
        size, chain: bytes of the file that are whole, and the chain after them.
        last: the payload of the last RATES, SHAPE, SETTINGS, SPENT and PACE, which are still in force.

    Raises:
        InvalidValue: until < 0.
        FileNotFoundError: there is none.
        StateMismatch: it is no recorded run, or one of another version.
        Damaged: something before its end is not as it was written; the sentence quotes step and offset.

    A file of one header and k steps of n directions takes k * (4 + 8 n) bytes beyond the header, and 4 + 8 bytes per
    parameter group at each step at which a learning rate changed.
    """

    def __init__(self, path: str | os.PathLike[str], until: int | None = None) -> None:
        if until is not None and until < 0:
            raise InvalidValue(f"until must be a number of steps, got {until!r}; write 0 or more, or None for all")
        self.path = os.fspath(path)
        with open(self.path, "rb") as file:
            self._data = file.read()
        self.header, self._start = read_header(self._data, self.path)
        self.torn: Torn | None = None
        self.last: dict[Tag, bytes] = {}
        self.steps = self.rejected = self.probes = 0
        self.size, self.chain = self._start, first_chain(self._data[: self._start])
        self._check(until)

    def _check(self, until: int | None) -> None:
        """Walk through all frames; what is wrong raises, or is reported as torn."""
        at, end, n = self._start, len(self._data), 0
        while at < end and (until is None or self.steps < until):
            read = self._frame(at, n)
            if isinstance(read, Frame):
                chain = zlib.crc32(read.payload, zlib.crc32(bytes([read.tag]), self.chain))
                if _WORD.unpack_from(self._data, at)[0] & 0xFFFFFF == chain & 0xFFFFFF:
                    at, self.chain = read.stop, chain
                    n = self._count(read, n)
                    continue
                read = _Wrong("its checksum does not follow from what stands before it", read.stop)
            if any(self._data[read.stop :]):
                raise Damaged(
                    f"{self.path} is damaged at byte {at}, after {self.steps} whole steps: {read.why}. Restore it "
                    f"from a copy. Up to there it can be replayed with until={self.steps}, and if it is cut to {at} "
                    "bytes, it can be resumed"
                )
            self.torn = Torn(at, end - at, self.steps)
            break
        self.size = at

    def _count(self, read: Frame, n: int) -> int:
        """Take a whole frame into account; the number of weights of the steps after it."""
        if read.tag in _IN_FORCE:
            self.last[read.tag] = _text(read) if read.tag in _WITH_LENGTH else read.payload
        if read.tag is Tag.SHAPE:
            return sum(json.loads(_text(read)))
        if read.tag is Tag.STEP or read.tag is Tag.REJECTED:
            self.steps += 1
            self.rejected += read.tag is Tag.REJECTED
            self.probes += n * (read.tag is Tag.STEP)
        return n

    def _frame(self, at: int, n: int) -> "Frame | _Wrong":
        """The frame at a byte, its checksum not looked at."""
        data, end = self._data, len(self._data)
        if end - at < 4:
            return _Wrong("the record is cut off", end)
        number, start = data[at + 3], at + 4
        if number not in _TAGS:
            return _Wrong(f"no kind of record has the number {number}", start)
        tag = _TAGS[number]
        if tag in _WITH_LENGTH:
            if end - start < _LENGTH.size:
                return _Wrong("the record is cut off", end)
            length, complement = _LENGTH.unpack_from(data, start)
            start += _LENGTH.size
            if length ^ complement != 0xFFFFFFFF:
                return _Wrong("the length of the record is not what was written", start)
            stop = start + length
        else:
            counts = {Tag.STEP: n, Tag.REJECTED: 0, Tag.RATES: len(self.header.groups), Tag.CHECK: 1}
            stop = start + 8 * counts[tag]
        return _Wrong("the record is cut off", end) if stop > end else Frame(tag, data[at + 4 : stop], at, stop)

    def events(self) -> Iterator[Event]:
        """The steps, checks and snapshots in order, each with what is in force at its place."""
        at, t, shape, n = self._start, self.header.start, [], 0
        rates: tuple[float, ...] = ()
        settings: Any = None
        spent: Any = None
        while at < self.size:
            read = self._frame(at, n)
            assert isinstance(read, Frame), "checked when the file was read"
            tag, payload, _, at = read
            if tag is Tag.SHAPE:
                shape = json.loads(_text(read))
                n = sum(shape)
            elif tag is Tag.RATES:
                rates = struct.unpack(f"<{len(payload) // 8}d", payload)
            elif tag is Tag.SETTINGS:
                settings = json.loads(_text(read))
            elif tag is Tag.SPENT:
                spent = json.loads(_text(read))
            else:
                weights = _split(struct.unpack(f"<{n}d", payload), shape) if tag is Tag.STEP else []
                yield Event(tag, t, weights, rates, settings, spent, _text(read) if tag is Tag.SNAPSHOT else payload)
                t += tag is Tag.STEP or tag is Tag.REJECTED

    def __repr__(self) -> str:
        header = self.header
        lines = [
            f"Trajectory of {self.steps} steps ({self.rejected} rejected), {self.probes} probes, {self.size} bytes "
            f"({self._start} of them the header)",
            f"  file    {self.path}",
            f"  point   {header.size} numbers in {len(header.names)} parameters, {', '.join(sorted({*header.dtypes}))}",
            f"  key     {header.key}" + (f", from step {header.start}" if header.start else ""),
            *(f"  part    {part}" for part in (*header.parts, header.rounding)),
            f"  made by {header.made_by}",
        ]
        if self.torn is not None:
            at, size, step = self.torn
            lines.append(f"  torn    at byte {at}, after step {step}: {size} bytes dropped")
        return "\n".join(lines)


class _Wrong(NamedTuple):
    """Why there is no frame, and where it would have ended: if only zeros follow, a write was cut short there."""

    why: str
    stop: int


def _text(read: Frame) -> bytes:
    """The JSON of a frame that has some."""
    return read.payload[_LENGTH.size :]


def _split(weights: tuple[float, ...], shape: list[int]) -> list[list[float]]:
    """The weights of all directions cut up by the terms they belong to."""
    found, at = [], 0
    for count in shape:
        found.append(list(weights[at : at + count]))
        at += count
    return found
