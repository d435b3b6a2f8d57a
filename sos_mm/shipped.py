"""The configs and tools that are shipped with the package.

An installed wheel holds copies of both in ``sos_mm/.mim``, the folder where OpenMMLab's packages have them; setup.py
puts them there. A clone and an editable install have the originals beside the package.
"""

from pathlib import Path

from sos_mm.checks import did_you_mean

_PACKAGE = Path(__file__).resolve().parent


def shipped_folder(kind: str) -> Path:
    """Finds the folder 'configs' or 'tools'.

    Raises:
        FileNotFoundError: If the package was installed without it.
    """
    for parent in (_PACKAGE / ".mim", _PACKAGE.parent):
        if (parent / "model-index.yml").is_file():
            return parent / kind
    raise FileNotFoundError(f"sos_mm was installed without its {kind}/: install a wheel of it, or a clone.")


def config_names() -> list[str]:
    """Lists the shipped configs by their paths relative to ``configs/``; those of ``_base_`` come last."""
    folder = shipped_folder("configs")
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.py")]
    return sorted(names, key=lambda name: (name.startswith("_base_/"), name))


def get_config(name: str) -> str:
    """Finds a shipped config.

    Another config inherits it by ``_base_ = __import__("sos_mm").get_config("synthesis/fc_like.py")``. (An
    ``import`` line would make it a lazy config, and mmengine resolves ``_base_ = "PACKAGE::..."`` for a fixed list of
    packages alone.)

    Args:
        name: Its path relative to ``configs/``, such as ``"synthesis/fc_like.py"``.

    Returns:
        The path of the file, absolute.

    Raises:
        FileNotFoundError: If the package was installed without its configs.
        ValueError: If there is no such config; names the nearest one.
    """
    names = config_names()
    if name not in names:
        raise ValueError(
            f"`name` must be the path of a shipped config relative to configs/, but got {name!r}."
            f"{did_you_mean(name, names)} `sos-mm config --list` lists them all."
        )
    return str(shipped_folder("configs") / name)
