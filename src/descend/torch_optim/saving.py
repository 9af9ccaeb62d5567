"""What an optimizer saves and takes over: everything but the parameters, in torch's layout."""

from typing import TYPE_CHECKING, Any

from descend.direction.masked import Mask
from descend.errors import StateMismatch
from descend.key import Key
from descend.torch_optim.packing import check_groups, pack, unpack
from descend.tree import from_plain, map_tensors, to_plain

if TYPE_CHECKING:
    from descend.torch_optim.optimizer import Optimizer

__all__ = ["restore", "saved"]


def saved(optimizer: "Optimizer", packed: dict[str, Any]) -> dict[str, Any]:
    """torch's state dict with the optimizer's own state in it."""
    rest = {
        "version": 1,
        "t": optimizer.t,
        "rejected": optimizer.rejected,
        "key": optimizer.key.seed,
        "ledger": optimizer.ledger.plain(),
        "silence": optimizer._closure.silence,
        "masks": [None if mask is None else mask.bits for mask in optimizer._masks],
        "gains": to_plain(optimizer.gains),
        "states": to_plain((optimizer._states, optimizer._rule_state)),
        "settings": to_plain((optimizer.settings, optimizer._pace)),
        "rounding": type(optimizer.rounding).__name__,
        "residual": optimizer._residual,
        "parts": [type(p).__name__ for p in optimizer.parts],
    }
    packed["state"] = pack(rest, optimizer.parameters.layout)
    return packed


def restore(optimizer: "Optimizer", state_dict: dict[str, Any]) -> None:
    """Take over what `saved` made."""
    check_groups(state_dict, optimizer.param_groups)
    rest = unpack(state_dict["state"], optimizer.parameters.layout)
    parts = [type(part).__name__ for part in optimizer.parts]
    if rest["parts"] != parts:
        raise StateMismatch(f"the state was saved by an optimizer with parts {rest['parts']}, this one has {parts}")
    if rest.get("rounding", "Nearest") != type(optimizer.rounding).__name__:
        raise StateMismatch(
            f"the state was saved under rounding={rest['rounding']}(), this optimizer has {optimizer.rounding!r}"
        )
    for group, saved in zip(optimizer.param_groups, state_dict["param_groups"], strict=True):
        group.update({name: value for name, value in saved.items() if name != "params"})
    optimizer.t, optimizer.rejected, optimizer.key = rest["t"], rest["rejected"], Key(rest["key"])
    optimizer.ledger.restore(rest["ledger"])
    optimizer._closure.silence = rest["silence"]
    device, d = optimizer.parameters.device, optimizer.parameters.size
    bits = rest.get("masks", [])
    if bits:  # those of the weights that the saved run began with, not of these
        optimizer._masks = tuple(None if b is None else Mask(b.to(device), d) for b in bits)
    optimizer.gains = from_plain(rest["gains"])
    optimizer.settings, optimizer._pace = from_plain(rest["settings"]) if "settings" in rest else (None, None)
    restored = from_plain(rest["states"])
    optimizer._states, optimizer._rule_state = map_tensors(lambda t: t.to(optimizer.parameters.device), restored)
    residual = rest.get("residual")
    optimizer._residual = None if residual is None else residual.to(optimizer.parameters.device)
    optimizer._settings = None
    optimizer._refresh()
