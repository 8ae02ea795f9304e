"""What a run lacks is written, in as few requests as MLflow's limits allow."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Measurement = tuple[str, float, int, int]  # name, value, time in ms, step
_MAX_PARAM_LENGTH = 6000  # MLflow refuses longer ones
_BATCH_METRICS, _BATCH_PARAMS, _BATCH_ALL = 1000, 100, 1000  # MLflow's limits of one request
_PAGE = 1000


def write_params(client: "MlflowClient", run_id: str, params: Mapping[str, str]) -> None:
    """Log the parameters that the run does not have, since MLflow refuses to change any."""
    known = client.get_run(run_id).data.params
    new = {name: value for name, value in params.items() if name not in known}
    write_new(client, run_id, new, [])


def write_metrics(client: "MlflowClient", run_id: str, metrics: Sequence[Measurement]) -> None:
    """Log numbers that the run does not have."""
    write_new(client, run_id, {}, metrics)


def write_new(
    client: "MlflowClient",
    run_id: str,
    params: Mapping[str, str],
    metrics: Sequence[Measurement],
) -> None:
    """Log parameters and numbers that the run does not have; long values become an artifact."""
    from mlflow.entities import Metric, Param

    long = {name: value for name, value in params.items() if len(value) > _MAX_PARAM_LENGTH}
    short = [Param(name, value) for name, value in params.items() if name not in long]
    numbers = [Metric(*metric) for metric in metrics]
    while short or numbers:
        first, short = short[:_BATCH_PARAMS], short[_BATCH_PARAMS:]
        room = min(_BATCH_METRICS, _BATCH_ALL - len(first))
        client.log_batch(run_id, params=first, metrics=numbers[:room])
        numbers = numbers[room:]
    if long:
        client.log_text(run_id, json.dumps(long, indent=2), "long_params.json")


def search_runs(client: "MlflowClient", experiment_id: str, which: str) -> list["Run"]:
    """All runs that a filter lets through, the latest first."""
    runs: list[Run] = []
    token: Any = None
    while True:
        page = client.search_runs([experiment_id], which, max_results=_PAGE, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def tag_is(name: str, value: str) -> str:
    """A filter for runs of which a tag has a value."""
    return f"tags.`{name}` = '{value}'"
