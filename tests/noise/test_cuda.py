"""The Triton kernels give the reference's bits in Triton's interpreter, and compile for a GPU without being run on one.

Both run in processes of their own: whether Triton interprets is decided when it is imported.
"""

import os
import re
import subprocess
import sys
from typing import Any

import pytest
import torch

from descend.noise import Law, backend, reference

pytestmark = pytest.mark.slow

SPANS = [(0, 1), (62, 4), (8100, 200), (77, 8192), (2**40 + 19, 5000)]
DTYPES = {torch.float32: "fp32", torch.float64: "fp64", torch.bfloat16: "bf16", torch.float16: "fp16"}
SEED = 0xFEDCBA9876543210


@pytest.mark.parametrize("task", ["interpret", "compile"])
def test_kernels(task: str) -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1" if task == "interpret" else "0"}
    done = subprocess.run([sys.executable, __file__, task], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "done"


def assert_same(name: str, out: torch.Tensor, arguments: tuple[object, ...]) -> None:
    from descend.noise import cuda

    expected = out.clone()
    getattr(reference, name)(expected, *arguments)
    getattr(cuda, name)(out, *arguments)
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}[out.element_size()]
    assert torch.equal(out.isnan(), expected.isnan())
    bits = [torch.where(x.isnan(), 1, x).view(integers) for x in (out, expected)]
    assert torch.equal(*bits), (name, out.dtype, arguments)


def interpret() -> None:
    """Every question, law, dtype and cut, bit for bit; nothing outside the tensor is written."""
    from descend.noise import cuda

    assert backend._triton() is cuda
    weights = torch.tensor([0.3, -1.7, 0.0], dtype=torch.float64)
    for law in Law:
        for dtype in DTYPES:
            for start, length in SPANS:
                x = torch.randn(length, generator=torch.Generator().manual_seed(length)).to(dtype)
                assert_same("fill", torch.zeros(2, length, dtype=dtype), (SEED, law, start, 2**32 - 2))
                assert_same("add", x.clone(), (SEED, law, -0.037, start, 3))
                assert_same("combine", x.clone(), (SEED, law, weights, start, 3))
    room = torch.full((3, 500), 7.0)
    cuda.fill(room[:, 100:300], 1, Law.NORMAL, 30, 0)
    assert (room[:, :100] == 7).all()
    assert (room[:, 300:] == 7).all()
    assert torch.equal(room[:, 100:300], backend.fill(torch.empty(3, 200), 1, Law.NORMAL, start=30))
    odd = torch.tensor([-0.0, float("inf"), float("nan"), 3.3895e38]).bfloat16()
    assert_same("add", odd.clone(), (SEED, Law.SIGN, 0.0, 0, 0))
    assert_same("add", odd.clone(), (SEED, Law.SIGN, 3e38, 0, 0))


def compile_all() -> None:
    """Every kernel compiles for an NVIDIA GPU, and no product is fused with a sum."""
    import triton
    import triton.language as tl
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from descend.noise import cuda

    constants: dict[str, Any] = {"TAG": 0, "UNIT": 1.0, "LANES": 0, "WORK": tl.float32, "ROWS": 0}
    for law in Law:
        for dtype, name in DTYPES.items():
            wide = dtype == torch.float64
            constants |= {
                "TAG": law.tag,
                "UNIT": law.unit,
                "LANES": cuda._LANES[law],
                "ROWS": min(law.per_word * 4, 32),
            }
            constants["WORK"] = tl.float64 if wide else tl.float32
            for kernel in (cuda._fill, cuda._add, cuda._combine):
                kinds = {"out": f"*{name}", "weights": "*fp64", "scale": "i64", "start": "i64", "first": "i64"}
                signature = {n: "constexpr" if n in constants else kinds.get(n, "i32") for n in kernel.arg_names}
                chosen = {n: constants[n] for n in kernel.arg_names if n in constants}
                made = triton.compile(
                    ASTSource(kernel, signature=signature, constexprs=chosen),
                    target=GPUTarget("cuda", 80, 32),
                    options={"enable_fp_fusion": False},
                )
                assert not re.search(r"fma\.rn\.f", made.asm["ptx"])


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"interpret": interpret, "compile": compile_all}[sys.argv[1]]()
    print("done")
