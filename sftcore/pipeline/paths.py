"""Where each stage writes; dvc.yaml declares the same places."""

from pathlib import Path

CHECK_REPORT = Path("reports/check.json")
PREPARED = Path("data/prepared")
MODEL = Path("models/finetuned")
FINETUNE_REPORT = Path("reports/finetune")
DECISION = Path("models/decision")
EVALUATE_REPORT = Path("reports/evaluate")
ABLATION_REPORT = Path("reports/ablation")
ENVIRONMENT = Path("requirements.lock")
