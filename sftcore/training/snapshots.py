"""The state that a rollback goes to: one copy of what training changes, its memory used again."""

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sftcore.models.network import Network
from sftcore.stability.batch_norm import running_statistics
from sftcore.stability.precision import LossScale
from sftcore.training.memory import Averages, Position

if TYPE_CHECKING:
    from sftcore.training.state import TrainingState

_CHANGED_IN_PLACE = ("ema", "swa", "swa_epochs")  # of the averages


def snapshot_of(state: "TrainingState", statistics: dict[str, Tensor]) -> dict[str, Any]:
    """A copy of all that updates and epochs change, as plain values and tensors.

    What is frozen is not in it. It takes the memory of the state's last one, which must no longer
    be used.

    Args:
        state: within a phase.
        statistics: running ones of batch norm; a forward pass may have moved the network's own.
    """
    assert state.optimizer is not None
    averages, older, result = vars(state.averages), state.guard.good, state.result
    tensors = {
        "network": changing(state.network, state.optimizer, statistics),
        "optimizer": state.optimizer.state_dict(),
    }
    changed = {name: averages[name] for name in _CHANGED_IN_PLACE}
    return {
        **copied(tensors, older),
        # Whole states are replaced and never changed, so they are shared.
        "averages": {**averages, **copied(changed, older.get("averages"))},
        "position": asdict(state.position),
        "loss_scale": asdict(state.loss_scale),
        "num_updates": len(result.updates),
        "num_epochs": len(result.history),
        "best_epoch": result.best_epoch,
        "best_state": result.best_state,
        "losses": state.guard.seen.losses,
        "norms": state.guard.seen.norms,
    }


def go_back(state: "TrainingState", saved: dict[str, Any]) -> None:
    """Let the state be that of a snapshot again, which stays as it is.

    Args:
        state: within the snapshot's phase; changed.
        saved: by :func:`snapshot_of`.
    """
    assert state.optimizer is not None
    result, own = state.result, saved["averages"]
    statistics = running_statistics(state.network)
    for name, tensor in changing(state.network, state.optimizer, statistics).items():
        tensor.copy_(saved["network"][name])
    state.optimizer.load_state_dict(copied(saved["optimizer"]))
    state.position = Position(**saved["position"])
    state.averages = Averages(**{**own, **copied({name: own[name] for name in _CHANGED_IN_PLACE})})
    state.loss_scale = LossScale(**saved["loss_scale"])
    # What is usual for gradients has been learned since, and stays.
    state.guard.seen = replace(
        state.guard.seen, losses=saved["losses"], norms=saved["norms"], high=()
    )
    result.updates.truncate(saved["num_updates"])
    del result.history[saved["num_epochs"] :]
    result.best_epoch, result.best_state = saved["best_epoch"], saved["best_state"]


def changing(
    network: Network, optimizer: torch.optim.Optimizer, statistics: dict[str, Tensor]
) -> dict[str, Tensor]:
    """What training changes of a network: the parameters of the optimizer, and the statistics."""
    trained = {id(each) for group in optimizer.param_groups for each in group["params"]}
    parameters = network.named_parameters()
    return {n: each.detach() for n, each in parameters if id(each) in trained} | statistics


def copied(value: Any, into: Any = None) -> Any:
    """A copy of plain values and tensors, as far as it can be in the memory of an older one.

    Args:
        value: tensors, dictionaries, lists and tuples of them, or anything that never changes.
        into: an earlier copy, which must no longer be used; None takes new memory.
    """
    if isinstance(value, Tensor):
        fits = isinstance(into, Tensor) and (into.shape, into.dtype, into.device) == (
            value.shape, value.dtype, value.device,
        )  # fmt: skip
        return into.copy_(value.detach()) if fits else value.detach().clone()
    if isinstance(value, dict):
        older = into if isinstance(into, dict) else {}
        return {key: copied(part, older.get(key)) for key, part in value.items()}
    if isinstance(value, list):
        older_parts = into if isinstance(into, list) and len(into) == len(value) else value
        is_new = older_parts is value
        return [
            copied(part, None if is_new else old)
            for part, old in zip(value, older_parts, strict=True)
        ]
    return value
