"""MLflow's pages that are worth opening, as addresses within its site."""

from sftcore.tracking.layout import (
    CELLS,
    PARENT_TAG,
    STUDIES,
    TRAININGS,
    Shown,
    compare_page,
    experiment_of,
    runs_page,
)
from sftcore.tracking.store import connect, reader, tracking_uri

_MOST_COMPARED = 6  # more columns do not fit a screen


def worthwhile_pages(experiment: str, shown: Shown) -> dict[str, str]:
    """Addresses by what they show; those for which there is nothing yet are left out.

    A local store is made if it is not there, so that it can be served; a server's is only read.

    Args:
        experiment: name of that of the trainings.
        shown: what the lists show of the task.

    Raises:
        Exception: whatever a store can raise.
    """
    uri = tracking_uri()
    if uri.startswith("sqlite:"):
        connect(experiment, uri, shown=shown)
    client = reader(uri)
    pages: dict[str, str] = {}
    for role in (TRAININGS, STUDIES, CELLS):
        found = client.get_experiment_by_name(experiment_of(experiment, role))
        if found is None:
            continue
        pages[role] = runs_page(found.experiment_id, role)
        if role == TRAININGS:
            pages["their curves"] = runs_page(found.experiment_id, role, is_chart=True)
            last = client.search_runs(
                [found.experiment_id],
                f"tags.`{PARENT_TAG}` IS NULL AND attributes.status = 'FINISHED'",
                max_results=_MOST_COMPARED,
                order_by=["attributes.start_time DESC"],
            )
            if len(last) > 1:
                title = f"the last {len(last)} compared"
                pages[title] = compare_page(found.experiment_id, [r.info.run_id for r in last])
    return pages
