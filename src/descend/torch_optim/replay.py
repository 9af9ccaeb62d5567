"""A recorded run made again from the model it started from, with no data, no loss and no forward pass."""

import os
from collections.abc import Iterable
from typing import Any, TypeVar

from torch import Tensor, nn

from descend.errors import StateMismatch
from descend.key import Key
from descend.oracle import trainable
from descend.torch_optim.groups import as_groups
from descend.torch_optim.optimizer import Optimizer
from descend.torch_optim.parts_text import from_text
from descend.torch_optim.recording import check_start, header_of, report_torn
from descend.torch_optim.retrace import Progress, retrace
from descend.torch_optim.trajectory import Header, Trajectory

__all__ = ["replay"]

M = TypeVar("M", bound=nn.Module | Iterable[Any])


def replay(
    model: M,
    path: str | os.PathLike[str],
    *,
    until: int | None = None,
    progress: Progress | None = None,
    from_snapshot: bool = True,
) -> M:
    """Bring a model to the end of a recorded run, bit for bit as training left it.

    Args:
        model: as it was when the run began: the module, or the list of parameters that the optimizer was given. It is
            changed in place; only its parameters are looked at. If the replay is interrupted or fails on the way, its
            parameters are somewhere between, and it has to be loaded anew.
        path: the file, written by ``optimizer.record(path)``. A record that was cut short at its end is dropped, with
            a RuntimeWarning.
        until: how many steps to take; default all.
        progress: called now and then with the number of steps taken, and of all.
        from_snapshot: whether to begin at the snapshot beside the file, if there is one; default True. The file holds
            the whole run either way.

    Returns:
        The model.

    Raises:
        StateMismatch: this is not the model the run started from, or not a file of a run; the sentence says which
            parameter differs. Also where a digest in the file shows that the weights came out otherwise.
        Damaged: the file has been altered before its end.
        CompositionError: the run's parts cannot be rebuilt.
        InvalidValue: the run has fewer than `until` steps.

    Idea: Malladi et al. 2023, "Fine-tuning language models with just forward passes". The numbers are the same on
    every device for the sign law and one direction a step.

    >>> import tempfile, torch
    >>> from descend.estimate import SPSA
    >>> base, model = nn.Linear(2, 1), nn.Linear(2, 1)
    >>> model.load_state_dict(base.state_dict())
    <All keys matched successfully>
    >>> path = tempfile.mkdtemp() + "/run.descend"
    >>> optimizer = Optimizer(model, SPSA(radius=1e-3), lr=0.1, key=0)
    >>> with optimizer.record(path):
    ...     for _ in range(10):
    ...         loss = optimizer.step(lambda: model(torch.ones(1, 2)).square().sum())
    >>> torch.equal(replay(base, path).weight, model.weight)
    True
    """
    trajectory = Trajectory(path, until)
    named = _named(model, trajectory.header, trajectory.path)
    groups, at = [], 0
    for count in trajectory.header.groups:
        groups.append({"params": named[at : at + count]})
        at += count
    parts = [from_text(text) for text in trajectory.header.parts]
    rounding = from_text(trajectory.header.rounding)
    key = Key(trajectory.header.key)
    optimizer = Optimizer(groups, *parts, lr=1.0, key=key, rounding=rounding)  # learning rates are in the file
    check_start(trajectory.header, header_of(optimizer), trajectory.path)
    if trajectory.torn is not None:
        report_torn(trajectory.path, trajectory.torn)
    retrace(optimizer, trajectory, until=until, progress=progress, from_snapshot=from_snapshot)
    return model


def _named(model: nn.Module | Iterable[Any], header: Header, path: str) -> list[tuple[str, Tensor]]:
    """The parameters that the run is about, in its order, with their names in it."""
    if isinstance(model, nn.Module):
        by_name = dict(model.named_parameters(remove_duplicate=False))
        found: list[Tensor] = [by_name[name] for name in header.names if name in by_name]
        if len(found) < len(header.names):  # the optimizer was given tensors without names
            whole: list[list[Tensor]] = [list(model.parameters()), list(trainable(model)[1])]
            found = next((some for some in whole if len(some) == len(header.names)), found)
    else:
        found = [p for group in as_groups(model) for p in _tensors(group)]
    if len(found) != len(header.names):
        lost = "" if found else f", such as {header.names[0]}"
        raise StateMismatch(
            f"{path} holds a run of {len(header.names)} parameters{lost}, here are {len(found)} of them; "
            "pass the model or the parameters that the optimizer was given, in the same order"
        )
    return list(zip(header.names, found, strict=True))


def _tensors(group: Any) -> list[Tensor]:
    """The tensors of what may stand in a list of parameters: a tensor, a name with one, or a group of these."""
    if isinstance(group, dict):
        params = group["params"]
        return [p for item in ([params] if isinstance(params, Tensor) else params) for p in _tensors(item)]
    return [group[1] if isinstance(group, tuple) else group]
