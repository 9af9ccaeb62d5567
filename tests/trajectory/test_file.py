"""The file of a recorded run by itself: sizes, and what is found when bytes are lost, altered, swapped or foreign."""

import json
import random
import struct
import zlib
from itertools import combinations
from pathlib import Path

import pytest

from descend.errors import StateMismatch
from descend.torch_optim.trajectory import (
    Damaged,
    Event,
    Header,
    Tag,
    Trajectory,
    first_chain,
    frame,
    read_header,
    write_header,
)

HEADER = Header(
    ("weight", "bias"), ((2, 3), ()), ("float32", "float32"), ("0" * 16, "f" * 16), (2,), 7, ("SPSA()",), made_by="me"
)


class Sheet:
    """Frames one after another, as a recorder writes them, with where each begins."""

    def __init__(self, header: Header = HEADER) -> None:
        self.data = write_header(header)
        self.chain = first_chain(self.data)
        self.starts = [len(self.data)]

    def add(self, tag: Tag, payload: bytes = b"") -> "Sheet":
        made, self.chain = frame(tag, payload, self.chain)
        self.data += made
        self.starts.append(len(self.data))
        return self

    def numbers(self, tag: Tag, *values: float) -> "Sheet":
        return self.add(tag, struct.pack(f"<{len(values)}d", *values))

    def text(self, tag: Tag, value: object) -> "Sheet":
        return self.add(tag, json.dumps(value).encode())


def sheet(steps: int = 6) -> Sheet:
    made = Sheet().text(Tag.SETTINGS, {"groups": [{}]}).numbers(Tag.RATES, 0.1).text(Tag.SHAPE, [2])
    made.text(Tag.SPENT, {"counts": {"value": 2}, "failures": 0})
    for t in range(steps):
        made.numbers(Tag.STEP, t + 0.5, -t)
    return made


def read(data: bytes, path: Path, until: int | None = None) -> Trajectory:
    file = path / "run.descend"
    file.write_bytes(data)
    return Trajectory(file, until)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    made = sheet(2).add(Tag.REJECTED).numbers(Tag.RATES, 0.05).text(Tag.SHAPE, [1, 2]).numbers(Tag.STEP, 1, 2, 3)
    run = read(made.add(Tag.CHECK, b"12345678").text(Tag.SNAPSHOT, {"file": "x"}).data, tmp_path)
    assert run.header == HEADER
    assert (run.steps, run.rejected, run.probes, run.torn, run.size) == (4, 1, 7, None, len(made.data))
    settings, spent = {"groups": [{}]}, {"counts": {"value": 2}, "failures": 0}
    assert list(run.events()) == [
        Event(Tag.STEP, 0, [[0.5, 0.0]], (0.1,), settings, spent, struct.pack("<2d", 0.5, 0.0)),
        Event(Tag.STEP, 1, [[1.5, -1.0]], (0.1,), settings, spent, struct.pack("<2d", 1.5, -1.0)),
        Event(Tag.REJECTED, 2, [], (0.1,), settings, spent, b""),
        Event(Tag.STEP, 3, [[1.0], [2.0, 3.0]], (0.05,), settings, spent, struct.pack("<3d", 1, 2, 3)),
        Event(Tag.CHECK, 4, [], (0.05,), settings, spent, b"12345678"),
        Event(Tag.SNAPSHOT, 4, [], (0.05,), settings, spent, b'{"file": "x"}'),
    ]


def test_weights_come_back_bit_for_bit(tmp_path: Path) -> None:
    values = [random.Random(3).gauss(0, 1) for _ in range(1000)]
    made = Sheet().text(Tag.SHAPE, [1])
    for value in values:
        made.numbers(Tag.STEP, value)
    assert [event.weights[0][0] for event in read(made.data, tmp_path).events()] == values


@pytest.mark.parametrize("n", [1, 2, 16])
def test_a_step_takes_4_bytes_and_8_for_each_probe(n: int, tmp_path: Path) -> None:
    made = Sheet().text(Tag.SHAPE, [n])
    before = len(made.data)
    for _ in range(100):
        made.numbers(Tag.STEP, *range(n))
    assert len(made.data) - before == 100 * (4 + 8 * n) <= 12 * read(made.data, tmp_path).probes


def test_every_tag_differs_from_every_other_and_from_nothing_in_four_bits() -> None:
    assert all((a ^ b).bit_count() >= 4 for a, b in combinations([0, *Tag], 2))


def test_a_file_cut_anywhere_keeps_its_whole_frames_and_says_where_it_is_torn(tmp_path: Path) -> None:
    made = sheet().text(Tag.SNAPSHOT, {"file": "x"}).add(Tag.CHECK, b"12345678").add(Tag.REJECTED)
    steps_before = [0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 6, 6, 7]
    for cut in range(made.starts[0], len(made.data) + 1):
        run = read(made.data[:cut], tmp_path)
        whole = max(i for i, start in enumerate(made.starts) if start <= cut)
        assert (run.steps, run.size) == (steps_before[whole], made.starts[whole])
        if cut == made.starts[whole]:
            assert run.torn is None
        else:
            assert run.torn == (made.starts[whole], cut - made.starts[whole], steps_before[whole])
            assert f"torn    at byte {made.starts[whole]}" in repr(run)


def test_a_flipped_bit_is_never_read(tmp_path: Path) -> None:
    """Before the last frame it is an error with its place; within the last one it is a torn end."""
    made = sheet().text(Tag.SNAPSHOT, {"file": "x"}).numbers(Tag.RATES, 0.3).numbers(Tag.STEP, 8, 9)
    for at in range(made.starts[0], len(made.data)):
        for bit in (0, 3, 7):
            data = bytearray(made.data)
            data[at] ^= 1 << bit
            hit = max(i for i, start in enumerate(made.starts) if start <= at)
            if hit == len(made.starts) - 2 and at != made.starts[hit] + 3:  # that byte says how long it is
                run = read(bytes(data), tmp_path)
                assert run.torn is not None
                assert run.steps == 6
            else:
                with pytest.raises(Damaged, match=rf"damaged at byte {made.starts[hit]}, after \d whole steps"):
                    read(bytes(data), tmp_path)


def test_damage_names_the_step_up_to_which_the_file_can_be_read(tmp_path: Path) -> None:
    made = sheet()
    data = bytearray(made.data)
    data[made.starts[4 + 4] + 6] ^= 1  # step 4
    with pytest.raises(Damaged, match=f"byte {made.starts[8]}, after 4 whole steps.*until=4"):
        read(bytes(data), tmp_path)
    assert read(bytes(data), tmp_path, until=4).steps == 4


def frames_of(made: Sheet) -> list[bytes]:
    return [made.data[a:b] for a, b in zip(made.starts[:-1], made.starts[1:], strict=True)]


def test_frames_that_are_swapped_lost_repeated_or_from_another_run_are_found(tmp_path: Path) -> None:
    made = sheet(8)
    start, parts = made.data[: made.starts[0]], frames_of(made)
    other = frames_of(Sheet(Header(**(vars(HEADER) | {"key": 8}))).text(Tag.SHAPE, [2]).numbers(Tag.STEP, 4.5, -4.0))
    for change in (
        [*parts[:6], parts[7], parts[6], *parts[8:]],
        [*parts[:6], *parts[7:]],
        [*parts[:6], parts[6], parts[6], *parts[7:]],
        [*parts[:8], other[-1], *parts[9:]],
    ):
        with pytest.raises(Damaged):
            read(start + b"".join(change), tmp_path)
    assert read(start + b"".join(parts), tmp_path).steps == 8


def test_a_header_of_another_run_does_not_carry_these_frames(tmp_path: Path) -> None:
    made = sheet()
    other = write_header(Header(**(vars(HEADER) | {"key": 8})))
    with pytest.raises(Damaged, match="after 0 whole steps"):
        read(other + made.data[made.starts[0] :], tmp_path)


@pytest.mark.parametrize("length", [1, 3, 4, 11, 4096])
def test_zeros_after_the_end_are_a_torn_end(length: int, tmp_path: Path) -> None:
    made = sheet()
    run = read(made.data + bytes(length), tmp_path)
    assert (run.steps, run.torn) == (6, (len(made.data), length, 6))
    # the beginning of a frame, and zeros where the rest should be
    whole = sheet(7).data
    run = read(whole[:-5] + bytes(5 + length), tmp_path)
    assert (run.steps, run.torn) == (6, (len(made.data), 16 + 4 + length, 6))


def test_zeros_and_then_something_is_damage(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match="number 0"):
        read(sheet().data + bytes(64) + b"\1", tmp_path)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateMismatch, match="not a recorded run"):
        read(b"PK\3\4 something else", tmp_path)
    with pytest.raises(StateMismatch, match="not a recorded run"):
        read(b"", tmp_path)
    with pytest.raises(FileNotFoundError):
        Trajectory(tmp_path / "nothing")


def test_another_version_is_refused(tmp_path: Path) -> None:
    data = bytearray(write_header(HEADER))
    data[8] = 2
    with pytest.raises(StateMismatch, match="version 2; this descend reads version 1"):
        read(bytes(data), tmp_path)


def test_a_damaged_header_is_found_wherever_it_is_hit(tmp_path: Path) -> None:
    data = write_header(HEADER)
    for at in range(12, len(data)):
        hit = bytearray(data)
        hit[at] ^= 4
        with pytest.raises(Damaged, match="in its header"):
            read(bytes(hit), tmp_path)
        with pytest.raises(Damaged, match="in its header"):
            read(data[:at] if at > 16 else data[:-1], tmp_path)


def test_a_header_with_other_fields_is_refused() -> None:
    text = json.dumps({"names": []}).encode()
    start = b"descend\1" + struct.pack("<II", 1, len(text)) + text
    with pytest.raises(StateMismatch, match="which this descend does not know"):
        read_header(start + struct.pack("<I", zlib.crc32(start)), "x")


def test_the_repr_says_what_one_wants_to_know(tmp_path: Path) -> None:
    run = read(sheet(2).add(Tag.REJECTED).data[:-1], tmp_path)
    for part in ("2 steps", "4 probes", f"{run.size} bytes", "key     7", "SPSA()", "7 numbers in 2 param", "torn"):
        assert part in repr(run)
