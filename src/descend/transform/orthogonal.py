"""Orthogonalization: the gradient of a matrix is replaced by the nearest matrix with orthonormal rows or columns.

With G = U S V^T its polar factor U V^T is the steepest descent under the spectral norm: all directions of a layer's
output are moved alike. Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks"; Bernstein,
Newhouse (2024), "Old optimizer, new norm", arXiv:2409.20325. Symbols: a, b, c = `coefficients`, X = `x`, A = `gram`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from descend.errors import CompositionError, InvalidValue, ShapeMismatch
from descend.layout import Layout
from descend.transform.chain import At, Transform
from descend.transform.check import check_positive

__all__ = ["NewtonSchulz", "Orthogonalize", "as_adam", "polar", "spectral"]


def spectral(rows: int, columns: int) -> float:
    """sqrt(max(1, rows / columns)): the same change of a layer's output whatever its shape (Jordan et al.).

    >>> spectral(8, 2), spectral(2, 8)
    (2.0, 1.0)
    """
    return math.sqrt(max(1.0, rows / columns))


def as_adam(rows: int, columns: int) -> float:
    """0.2 sqrt(max(rows, columns)): entries as large as Adam's, so Adam's lr fits (Liu et al. 2025, arXiv:2502.16982).

    >>> as_adam(100, 4)
    2.0
    """
    return 0.2 * math.sqrt(max(rows, columns))


def polar(matrix: Tensor) -> Tensor:
    """The exact polar factor U V^T of a matrix (n, m) by its singular value decomposition; singular values 0 stay 0.

    >>> polar(torch.tensor([[3.0, 0.0], [0.0, -0.5]]))
    tensor([[ 1.,  0.],
            [ 0., -1.]])
    """
    wide = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
    u, s, vh = torch.linalg.svd(wide, full_matrices=False)
    kept = s > s[0] * max(matrix.shape) * torch.finfo(wide.dtype).eps
    return ((u * kept) @ vh).to(matrix.dtype)


@dataclass(frozen=True)
class NewtonSchulz:
    """The polar factor approximately, by a quintic iteration of matrix products alone: fast where products are.

    The default coefficients trade accuracy for speed: singular values come out between about 0.7 and 1.2.

    Args:
        steps: >= 1; default 5.
        coefficients: a, b, c of X <- a X + (b A + c A^2) X with A = X X^T; default (3.4445, -4.7750, 2.0315), of Jordan
            et al. (2, -1.5, 0.5) converges to the exact factor, slowly.
        eps: > 0, the least norm that is divided by; default 1e-7.
        precision: the dtype of the iteration; default None, the gradient's. torch.bfloat16 is faster on GPUs, and
            what torch.optim.Muon uses.

    Raises:
        InvalidValue: a number outside its range.

    >>> NewtonSchulz(steps=9)(torch.eye(2)).diagonal().sub(1).abs().max() < 0.35
    tensor(True)
    """

    steps: int = 5
    coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315)
    eps: float = 1e-7
    precision: torch.dtype | None = None

    def __post_init__(self) -> None:
        check_positive("eps", self.eps, 1e-7)
        if self.steps < 1:
            raise InvalidValue(f"NewtonSchulz needs at least one step, got steps={self.steps!r}; write steps=5")
        if len(self.coefficients) != 3:
            raise InvalidValue(
                f"NewtonSchulz needs three coefficients, got {self.coefficients!r}; write (3.4445, -4.7750, 2.0315)"
            )

    def __call__(self, matrix: Tensor) -> Tensor:
        """About U V^T of a matrix (n, m), in its dtype."""
        a, b, c = self.coefficients
        tall = matrix.shape[0] > matrix.shape[1]
        x = matrix.to(matrix.dtype if self.precision is None else self.precision)
        x = x.mT if tall else x  # the smaller of the two Gram matrices
        x = x / x.norm().clamp(min=self.eps)  # the Frobenius norm bounds the largest singular value
        for _ in range(self.steps):
            gram = x @ x.mT
            x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
        return (x.mT if tall else x).to(matrix.dtype)


@dataclass(frozen=True)
class Orthogonalize(Transform[None]):
    """Every matrix of the layout becomes its polar factor times `scale`; other parameters pass through.

    After a momentum it is Muon: ``Descent(HeavyBall(0.95, nesterov=True), Orthogonalize(layout), lr=0.02)``. It is
    meant for hidden layers; train embeddings, heads and biases by another optimizer. Parameters with more than two
    dimensions, such as kernels of convolutions, count as matrices (shape[0], everything else).

    Args:
        layout: where the matrices lie in the point; default None, which has to be bound before the first step (the
            torch.optim face binds its own).
        factor: matrix -> polar factor; default ``NewtonSchulz()``. `polar` is exact.
        scale: (rows, columns) -> the factor's scale; default `spectral`. `as_adam` suits Adam's lr.

    Raises:
        CompositionError: it is applied before a layout is bound.
        ShapeMismatch: the point has not the layout's size.

    >>> layout = Layout(("weight", "bias"), ((2, 2), (2,)))
    >>> transform = Orthogonalize(layout, factor=polar)
    >>> gradient, at = torch.tensor([3.0, 0.0, 0.0, 0.5, 7.0, 8.0]), None
    >>> transform(gradient, None, at)[0]
    tensor([1., 0., 0., 1., 7., 8.])
    """

    layout: Layout | None = field(default=None, repr=False)
    factor: Callable[[Tensor], Tensor] = NewtonSchulz()
    scale: Callable[[int, int], float] = field(default=spectral, repr=False)
    separable = False

    def bound(self, layout: Layout) -> "Orthogonalize":
        """The same transform for a point of this layout; one that was given before stays."""
        return self if self.layout is not None else replace(self, layout=layout)

    def init(self, x: Tensor) -> None:
        return None

    def __call__(self, gradient: Tensor, state: None, at: At) -> tuple[Tensor, None]:
        if self.layout is None:
            raise CompositionError(
                f"{self!r} has to know the shapes of the matrices in the point; "
                "write Orthogonalize(layout), with Parameters(model.parameters()).layout for a model"
            )
        if gradient.shape != (self.layout.size,):
            raise ShapeMismatch(
                f"Orthogonalize was given a layout of {self.layout.size} elements, "
                f"and a gradient of shape {tuple(gradient.shape)}"
            )
        for piece in self.layout.unflatten(gradient):
            if piece.dim() >= 2 and piece.numel():
                matrix = piece.view(piece.shape[0], -1)
                matrix.copy_(self.factor(matrix).mul_(self.scale(*matrix.shape)))
        return gradient, None
