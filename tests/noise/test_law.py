"""The frozen numbers: Philox's published answers, an independent reading of the layout, and golden vectors."""

import hashlib
import random

import pytest
import torch

from descend.noise import Law, fill, reference

# Known answers of Random123 1.09, kat_vectors, philox4x32 with 10 rounds: counter, key, result.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def parse(words: str) -> list[int]:
    return [int(word, 16) for word in words.split()]


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 in Python integers, as Salmon et al. write it."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        left, right = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (right >> 32) ^ c1 ^ k0, right % 2**32, (left >> 32) ^ c3 ^ k1, left % 2**32
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return [c0, c1, c2, c3]


def number(seed: int, law: Law, member: int, i: int) -> float:
    """One number, read off the format in the docstring of `law.py`."""
    per_word = 32 if law is Law.SIGN else 1
    tile, rest = divmod(i, 64 * 4 * per_word)
    row, lane = divmod(rest, 64)
    j, b = divmod(row, per_word)
    lane += 64 * tile
    tag = {Law.SIGN: 0, Law.NORMAL: 1, Law.UNIFORM: 2}[law]
    word = philox([lane % 2**32, lane >> 32, member, tag], [seed % 2**32, seed >> 32])[j]
    if law is Law.SIGN:
        return -1.0 if word >> (31 - b) & 1 else 1.0
    if law is Law.NORMAL:
        k = 512 * (word % 2**24).bit_count() + 2 * (word >> 24) - 6399
        return (torch.tensor(k, dtype=torch.float32) * (1594709**-0.5)).item()
    k = (word - (2**32 if word >> 31 else 0)) >> 7 | 1
    return (torch.tensor(k, dtype=torch.float32) * (3**0.5 / 2**24)).item()


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_philox_gives_the_published_answers(counter: str, key: str, result: str) -> None:
    (c0, c1, c2, c3), (k0, k1) = parse(counter), parse(key)
    hi, lo = reference._philox(torch.tensor([[[c0]], [[c2]]]), k0, k1, c1, c3)
    words = [hi[0].item(), lo[0].item() % 2**32, hi[1].item(), lo[1].item() % 2**32]
    assert words == parse(result) == philox([c0, c1, c2, c3], [k0, k1])


@pytest.mark.parametrize("law", Law)
def test_numbers_are_those_of_the_written_format(law: Law) -> None:
    pick = random.Random(law.tag)
    shapes = [(0, 2), (5, 2), (62, 4), (2047, 3), (8190, 70), (2**40 + 17, 9000), (2**38 - 5000, 10000), (2**62, 40)]
    for start, length in shapes:
        seed, member = pick.getrandbits(64), pick.getrandbits(31)
        z = fill(torch.empty(2, length), seed, law, start=start, member=member)
        for c in (0, length - 1, *(pick.randrange(length) for _ in range(20))):
            assert [v.item() for v in z[:, c]] == [number(seed, law, member + r, start + c) for r in range(2)]


GOLDEN = {
    Law.SIGN: ([1, -1, 1, -1, -1, 1, -1, -1], "49b8d03f8ac9eed644662fc195461b4a"),
    Law.NORMAL: ([1371, 1235, 1329, 1597, -717, 1, 1577, 1525], "1b890e57759365a37fc4e75aa7766db9"),
    Law.UNIFORM: (
        [-4563061, -9096811, -16237963, 3936285, 4587585, 5907993, -2264781, -5400987],
        "359b47c8afdc615c4308565f99adcfe0",
    ),
}


@pytest.mark.parametrize("law", Law)
def test_golden_vectors_never_change(law: Law) -> None:
    integers, digest = GOLDEN[law]
    assert fill(torch.empty(8), 0, law).tolist() == (torch.tensor(integers).float() * law.unit).tolist()
    z = fill(torch.empty(3, 1000), 0x0123456789ABCDEF, law, start=2**38 + 8000, member=41)
    assert hashlib.sha256(z.numpy().astype("<f4").tobytes()).hexdigest().startswith(digest)


N = 2**21


@pytest.mark.parametrize("law", Law)
def test_moments_are_those_the_law_states(law: Law) -> None:
    z = fill(torch.empty(N, dtype=torch.float64), 11, law)
    eighth = {Law.SIGN: 1.0, Law.NORMAL: 105.0, Law.UNIFORM: 9.0}[law]  # at most, for the error of the fourth
    sigma = N**-0.5
    assert abs(z.mean()) < 4 * sigma
    assert abs((z**2).mean() - 1) < 4 * sigma * (law.fourth_moment - 1) ** 0.5 + 1e-7
    assert abs((z**3).mean()) < 4 * sigma * 15**0.5
    assert abs((z**4).mean() - law.fourth_moment) < 4 * sigma * (eighth - law.fourth_moment**2) ** 0.5 + 1e-6
    assert z.abs().max() <= {Law.SIGN: 1.0, Law.NORMAL: 6399 / 1594709**0.5, Law.UNIFORM: 3**0.5}[law] * (1 + 1e-7)


def test_the_moments_stated_are_those_of_the_integers() -> None:
    bits = torch.tensor([(w & 255).bit_count() for w in range(256)], dtype=torch.float64)
    of24 = torch.zeros(25, dtype=torch.float64)  # how likely each population count of 24 bits is
    one = torch.bincount(bits.long(), minlength=9).double() / 256
    for a in range(9):
        for b in range(9):
            of24[a + b : a + b + 9] += one[a] * one[b] * one
    k = 512 * torch.arange(25).unsqueeze(1) + 2 * torch.arange(256) - 6399
    second, fourth = (((k.double() ** p).mean(1) * of24).sum() for p in (2, 4))
    assert second.item() == pytest.approx(1594709, rel=1e-14)
    assert (fourth / second**2).item() == pytest.approx(Law.NORMAL.fourth_moment, rel=1e-12)
    assert Law.NORMAL.unit**2 * second.item() == pytest.approx(1, abs=1e-7)
    assert Law.UNIFORM.unit * 2**24 == pytest.approx(3**0.5, rel=1e-7)
    assert Law.UNIFORM.fourth_moment == pytest.approx(9 / 5, rel=1e-12)


@pytest.mark.parametrize("law", Law)
def test_streams_are_uncorrelated(law: Law) -> None:
    def stream(seed: int, member: int = 0, start: int = 0, of: Law = law) -> torch.Tensor:
        return fill(torch.empty(N, dtype=torch.float64), seed, of, member=member, start=start)

    z = stream(5)
    others = [stream(seed) for seed in (4, 6, 5 + 2**32, 5 ^ 2**63)]
    others += [stream(5, member) for member in (1, 2, 2**31)]
    others += [stream(5, of=of) for of in Law if of is not law]
    others += [stream(5, start=2**38)]
    scores = [(z @ other).item() / N**0.5 for other in others]
    lags = (1, 2, 31, 32, 63, 64, 65, 128, 256, 2048, 4096, 8191, 8192)
    scores += [(z[lag:] @ z[:-lag]).item() / (N - lag) ** 0.5 for lag in lags]
    assert max(abs(score) for score in scores) < 4
    assert sum(score**2 for score in scores) / len(scores) > 0.3  # as spread as chance, not anything more regular
