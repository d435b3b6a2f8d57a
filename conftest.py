"""Examples in docstrings are tests too: those of all that needs no torch."""

collect_ignore = [
    "sos_mm/augmentation",
    "sos_mm/detection",
    "sos_mm/engine",
    "sos_mm/saliency",
]
