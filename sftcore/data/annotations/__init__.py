"""Annotations of pictures: boxes and masks, read, judged and written."""

from sftcore.data.annotations.faults import Fault, Limits, audit_table
from sftcore.data.annotations.formats import (
    FormatName,
    Wanted,
    choose_format,
    fitting_formats,
    open_annotations,
    read_annotations,
    whole_tree,
)
from sftcore.data.annotations.judging import Audit, judge_pictures, judge_set
from sftcore.data.annotations.rasters import class_mask
from sftcore.data.annotations.values import Annotated, AnnotationSet, Boxes, Entry, Mark
from sftcore.data.annotations.voc import VocPixels
from sftcore.data.annotations.writing import (
    Detections,
    coco_instances,
    coco_results,
    index_mask,
    voc_palette,
)

__all__ = [
    "Annotated",
    "AnnotationSet",
    "Audit",
    "Boxes",
    "Detections",
    "Entry",
    "Fault",
    "FormatName",
    "Limits",
    "Mark",
    "VocPixels",
    "Wanted",
    "audit_table",
    "choose_format",
    "class_mask",
    "coco_instances",
    "coco_results",
    "fitting_formats",
    "index_mask",
    "judge_pictures",
    "judge_set",
    "open_annotations",
    "read_annotations",
    "voc_palette",
    "whole_tree",
]
