"""Where each stage writes; dvc.yaml declares the same places."""

from pathlib import Path

CHECK_REPORT = Path("reports/check.json")
PREPARED = Path("data/prepared")
PREPARE_REPORT = Path("reports/prepare")
LABELS_REPORT = Path("reports/labels")
MODEL = Path("models/finetuned")
FINETUNE_REPORT = Path("reports/finetune")
DECISION = Path("models/decision")
EVALUATE_REPORT = Path("reports/evaluate")
ABLATION_REPORT = Path("reports/ablation")
REPORT = Path("reports/report.html")
ENVIRONMENT = Path("requirements.lock")
