"""Puts configs and tools into what is built, as OpenMMLab's packages have them; all else is in setup.cfg."""

from pathlib import Path
from shutil import copy, rmtree

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SUFFIXES = {".md", ".py", ".sh", ".yml"}
# Of use in a clone alone: they make environments, the bundled sample and measurements.
CLONE_ONLY = {"environment.sh", "make_sample_bank.py", "quickstart.sh", "run_tests.sh", "test_files.sh", "benchmarks"}


class BuildWithConfigs(build_py):
    """Copies ``configs/``, ``tools/`` and ``model-index.yml`` to ``sos_mm/.mim``.

    An editable install finds them in the repository, so nothing is copied for it.
    """

    def run(self):
        """Builds the modules, then copies."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "sos_mm/.mim")
        rmtree(target, ignore_errors=True)  # An earlier build may have left files that are gone.
        sources = [ROOT / "model-index.yml", *(ROOT / "configs").rglob("*"), *(ROOT / "tools").rglob("*")]
        for source in sources:
            path = source.relative_to(ROOT)
            if source.suffix in SUFFIXES and not CLONE_ONLY.intersection(path.parts):
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                copy(source, target / path)


setup(cmdclass={"build_py": BuildWithConfigs})
