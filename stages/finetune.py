"""Fine-tune the pretrained network: ``python -m stages.finetune``.

Writes models/finetuned and reports/finetune.
"""

from sftcore.foundations.errors import exit_on_error
from sftcore.foundations.garbage import collect_seldom
from sftcore.foundations.interruption import leave_on_signals
from sftcore.settings.early import choose_kernels


def main() -> None:
    """Run the stage."""
    collect_seldom()
    choose_kernels()
    from sftcore.pipeline.finetune import finetune
    from sftcore.settings.tree import load_params

    trained = finetune(load_params())
    print(trained.claims)
    if not_seen := trained.plan.examples.not_seen(trained.plan.rows.pool):
        print(not_seen)
    chosen = trained.result.candidates[trained.result.chosen]
    print(f"chosen on validation: {chosen.name} {', '.join(map(str, chosen.epochs))}")
    if incidents := trained.result.incidents:
        print(f"the guard answered {len(incidents)} incidents: reports/finetune/incidents.csv")


if __name__ == "__main__":
    with exit_on_error(), leave_on_signals():
        main()
