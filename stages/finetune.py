"""Fine-tune the pretrained network: ``python -m stages.finetune``.

Writes models/finetuned and reports/finetune.
"""

from sftcore.foundations.errors import exit_on_error
from sftcore.foundations.instruction_set import choose_instruction_set
from sftcore.foundations.interruption import leave_on_signals
from sftcore.settings.params import load_params


def main() -> None:
    """Run the stage."""
    params = load_params()
    choose_instruction_set(params.runtime.mode)
    from sftcore.pipeline.finetune import finetune

    trained = finetune(params)
    print(trained.claims)
    chosen = trained.result.candidates[trained.result.chosen]
    print(f"chosen on validation: {chosen.name} {', '.join(map(str, chosen.epochs))}")
    if incidents := trained.result.incidents:
        print(f"the guard answered {len(incidents)} incidents: reports/finetune/incidents.csv")


if __name__ == "__main__":
    with exit_on_error(), leave_on_signals():
        main()
