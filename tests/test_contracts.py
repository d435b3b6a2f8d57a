"""What users of the package rely on: light imports, one-way imports, names that resolve to our classes."""

import ast
import subprocess
import sys
from collections.abc import Collection
from graphlib import TopologicalSorter
from importlib import import_module, metadata
from pathlib import Path

import pytest

import sos_mm

PACKAGE = Path(sos_mm.__file__).parent
SPELLINGS = ("sos_mm.{}", "{}")
# Folder -> the folders that it may import from, beside itself and the shared leaves.
ARROWS = {
    "formats": set(),
    "segments": {"formats"},
    "cutouts": {"segments", "formats"},
    "generation": {"segments", "composition", "cutouts", "formats", "language_model"},
    "composition": {"segments", "formats"},
    "referring": {"segments", "composition", "formats", "metrics", "language_model"},
    "synthesis": {"segments", "composition", "referring", "formats"},
    "browse": {"formats"},
    "annotations": {"formats", "segments"},
    "released": {"segments", "formats"},
    "steering": {"formats", "segments", "composition", "synthesis"},
    "metrics": set(),
    "language_model": set(),
    "saliency": {"metrics", "segments", "cutouts", "engine"},
    # From the detection side the type of masks alone, for samples that hold mmdet's.
    "augmentation": {"formats", "segments", "composition", "engine", "detection"},
    "detection": {"formats", "metrics", "engine"},
    "engine": set(),
    # The command, which nothing else imports.
    "cli": {
        "segments",
        "cutouts",
        "composition",
        "generation",
        "steering",
        "synthesis",
        "browse",
        "annotations",
        "referring",
        "released",
        "saliency",
        "engine",
        "formats",
    },
}
LEAVES = {
    "atomic",
    "backoff",
    "checks",
    "compat",
    "compiled",
    "config_file",
    "digest",
    "errors",
    "image_header",
    "images",
    "local_copies",
    "locks",
    "page",
    "pixel_cache",
    "registry",
    "seeding",
    "shipped",
    "space",
    "storage",
    "terminal",
    "worker_pool",
}
# Folder of saliency -> the others that it may import from.
SALIENCY = {
    "models": set(),
    "data": {"models"},
    "evaluation": {"models"},
    "apis": {"models", "data", "evaluation"},
}
WITHOUT_TORCH = (
    "formats",
    "segments",
    "cutouts",
    "composition",
    "referring",
    "synthesis",
    "browse",
    "annotations",
    "released",
    "steering",
    "metrics",
    "language_model",
    *sorted(LEAVES),
)


def python(code: str) -> str:
    """What a fresh Python prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_public_names():
    """The snapshot of the public API: removing or renaming one of these breaks users' configs."""
    assert sorted(sos_mm._PUBLIC) == (Path(__file__).parent / "public_names.txt").read_text().split()


def test_import_is_light():
    heavy = "{'torch', 'numpy', 'cv2', 'mmengine', 'mmcv', 'mmseg', 'mmdet', 'diffusers', 'timm', 'tqdm', 'cachetools'}"
    assert python(f"import sos_mm, sys; print(sorted({heavy} & set(sys.modules)))") == "[]"
    # Nothing beyond Python's own library, so that it costs next to no time.
    others = "{name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names"
    assert python(f"import sys; before = set(sys.modules); import sos_mm; print({others})") == "{'sos_mm'}"


def test_numpy_side_never_imports_torch():
    importing = "importlib.import_module('sos_mm.' + folder); print(folder) if 'torch' in sys.modules else None"
    assert python(f"import importlib, sys\nfor folder in {WITHOUT_TORCH}: {importing}") == ""


@pytest.mark.slow
@pytest.mark.parametrize("folder", WITHOUT_TORCH)
def test_each_folder_of_the_numpy_side_is_imported_on_its_own(folder):
    """Whatever is imported first: no folder needs that another one was imported before."""
    assert python(f"import sos_mm.{folder}, sys; print('torch' in sys.modules)") == "False"


def test_only_the_detection_side_imports_mmdet():
    """Read from the text, since mmseg itself imports mmdet where that is installed."""
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] != "detection":
            assert not {name for name in top_level_imports(path) if name.split(".")[0] == "mmdet"}, path


def test_verbs_for_data_import_no_torch_and_help_imports_nothing_heavy():
    heavy = "sorted({'torch', 'numpy', 'cv2', 'mmengine', 'mmcv', 'mmseg'} & set(sys.modules))"
    assert python(f"import sos_mm.cli, sys; sos_mm.cli._new_parser().format_help(); print({heavy})") == "[]"
    verbs = "synthesize, preview, download, index, cutout, browse, validate, convert, audit, steer, refer, draw, config"
    assert python(f"from sos_mm.cli import {verbs}; import sys; print('torch' in sys.modules)") == "False"


def top_level_imports(path: Path) -> set[str]:
    """The modules that a file imports outside functions."""
    body = ast.parse(path.read_text()).body
    whole = {alias.name for node in body if isinstance(node, ast.Import) for alias in node.names}
    return whole | {node.module for node in body if isinstance(node, ast.ImportFrom) and node.module}


def imported_below(path: Path, package: str) -> set[str]:
    """The parts of a package that a file imports from, inside functions too."""
    modules = [node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    return {module.removeprefix(f"{package}.").split(".")[0] for module in modules if module.startswith(f"{package}.")}


def test_imports_point_one_way():
    for folder, allowed in ARROWS.items():
        for path in (PACKAGE / folder).rglob("*.py"):
            assert imported_below(path, "sos_mm") <= allowed | LEAVES | {folder}, path


def test_imports_form_no_circle():
    """Imports inside functions, and those for types alone, count too."""
    files = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    files = {name.removesuffix(".__init__"): path for name, path in files.items() if ".mim" not in path.parts}
    graph = {name: imported_files(path, files) - {name} for name, path in files.items()}
    # Of a circle there is no order: a CycleError names its files.
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("sos_mm.checks") < order.index("sos_mm.synthesis.recipe")


def imported_files(path: Path, files: Collection[str]) -> set[str]:
    """Those of the files, by their names as modules, that a file imports, inside functions too."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {member if member in files else node.module for member in members}
    return found & set(files)


def test_imports_within_saliency_point_one_way():
    assert {path.parent.name for path in (PACKAGE / "saliency").glob("*/*.py")} == set(SALIENCY)
    for folder, allowed in SALIENCY.items():
        for path in (PACKAGE / "saliency" / folder).rglob("*.py"):
            assert imported_below(path, "sos_mm.saliency") <= allowed | {folder}, path
            # The package itself imports all four.
            assert "sos_mm.saliency" not in top_level_imports(path), path


def using(wanted: str) -> set[str]:
    """The files of the package and of the tools with an attribute of this name, or this number."""
    found = set()
    for path in (*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "tools").rglob("*.py")):
        text = path.read_text() if ".mim" not in path.parts else ""
        for node in ast.walk(ast.parse(text if wanted in text else "")):
            if wanted == str(getattr(node, "attr", getattr(node, "value", ""))):
                found.add(path.relative_to(PACKAGE.parent).as_posix())
    return found


def test_masks_are_decoded_and_segment_ids_combined_in_one_file():
    """Polygons to run lengths; the blue channel of a panoptic PNG file."""
    assert using("frPyObjects") == {"sos_mm/formats/rle.py"}
    assert using("65536") == {"sos_mm/formats/panoptic.py"}


def test_files_are_locked_in_one_file():
    assert using("flock") == {"sos_mm/locks.py"}


# A registry without a class of ours would mean that they were not found.
REGISTRIES = ["MODELS", "DATASETS", "TRANSFORMS", "METRICS", "HOOKS"]


def registered() -> list[tuple[str, str]]:
    """(registry, class name) of everything of ours in mmengine's root registries."""
    import mmengine.registry as registries

    import_module("sos_mm.augmentation")
    import_module("sos_mm.engine.hooks")
    if "mmseg" in scopes():
        import_module("sos_mm.saliency")
    if "mmdet" in scopes():
        import_module("sos_mm.detection")
    found = []
    for name in (*REGISTRIES, "DATA_SAMPLERS"):
        modules = getattr(registries, name).module_dict
        found += [(name, key) for key, cls in modules.items() if cls.__module__.startswith("sos_mm.")]
    return found


def test_everything_registered_is_public():
    assert {name for _, name in registered()} <= set(sos_mm._PUBLIC)
    # Samplers belong to the detection side.
    expected = {*REGISTRIES, "DATA_SAMPLERS"} if "mmdet" in scopes() else set(REGISTRIES)
    assert {registry for registry, _ in registered()} == expected


def scopes() -> list[str | None]:
    """No scope, and those of mmseg and mmdet (which comes with compiled operators) where they are installed."""
    installed = {distribution.metadata["Name"].lower() for distribution in metadata.distributions()}
    distributions = {"mmseg": {"mmsegmentation", "onedl-mmsegmentation"}, "mmdet": {"mmdet", "onedl-mmdetection"}}
    return [None, *(scope for scope, names in distributions.items() if names & installed)]


@pytest.mark.parametrize("scope", scopes())
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_names_resolve_to_our_classes(scope, spelling):
    import mmengine.registry as registries

    for registry, name in registered():
        root = getattr(registries, registry)
        looked_in = root if scope is None else getattr(import_module(f"{scope}.registry"), registry)
        with root.switch_scope_and_registry(scope):
            assert looked_in.get(spelling.format(name)) is getattr(sos_mm, name)


@pytest.mark.parametrize(("registry", "name"), [("HOOKS", "VisitHook"), ("TRANSFORMS", "FlipSaliency")])
def test_name_alone_needs_no_import_line(registry, name):
    code = f"import mmengine.registry as r; print(type(r.{registry}.build(dict(type='sos_mm.{name}'))).__name__)"
    assert python(code).splitlines()[-1] == name


def test_missing_dependency_names_the_remedy():
    code = """
import sys
sys.modules['timm'] = None
from mmengine.registry import MODELS
try:
    MODELS.build(dict(type='sos_mm.SalientEncoder', model_name='resnet10t'))
except Exception as error:
    while error:
        print(error)
        error = error.__cause__ or error.__context__
"""
    said = python(code)
    assert "timm" in said
    assert "tools/collect_env.py" in said


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="NoSuchThing"):
        sos_mm.NoSuchThing  # noqa: B018


def test_both_lineages_are_refused(monkeypatch):
    from sos_mm import compat

    numbers = {"onedl-mmengine": "0.10.12", "mmengine": "0.10.7"}

    def version(distribution):
        if distribution in numbers:
            return numbers[distribution]
        raise metadata.PackageNotFoundError(distribution)

    monkeypatch.setattr(compat, "version", version)
    with pytest.raises(RuntimeError, match=r"onedl-mmengine 0\.10\.12; mmengine 0\.10\.7.*fresh environment"):
        compat.find_lineage()
    del numbers["mmengine"]
    assert compat.check_openmmlab("mmengine").name == "onedl"
    with pytest.raises(RuntimeError, match=r"pip install -e '\.\[onedl-detection\]'"):
        compat.check_openmmlab("mmdet")
    numbers["onedl-mmengine"] = "0.9.0"
    with pytest.raises(RuntimeError, match=r"onedl-mmengine must be >=0\.10\.12,<0\.11, but is 0\.9\.0"):
        compat.check_openmmlab("mmengine")
    numbers.clear()
    with pytest.raises(RuntimeError, match="No OpenMMLab packages"):
        compat.find_lineage()
