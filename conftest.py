"""What pytest collects beside the tests, and in which order it runs them."""

# Examples in docstrings are tests too: those of all that needs no torch. Modules of helpers have no tests.
collect_ignore = [
    "tests/helpers",
    "sos_mm/augmentation",
    "sos_mm/detection",
    "sos_mm/engine",
    "sos_mm/saliency",
]
# First, so that no process is left with a long file at the end.
_SLOW = (
    "tests/saliency/",
    "tests/configs/",
    "tests/synthesis/test_resume.py",
    "tests/detection/",
    "tests/engine/",
    "tests/test_contracts.py",
)


def pytest_collection_modifyitems(items):
    """Puts the tests of the slow files first; the others stay in their order."""
    items.sort(key=lambda item: not item.nodeid.startswith(_SLOW))
