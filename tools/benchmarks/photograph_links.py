"""Links to cut-outs and photographs that stay where they are, for the studies on photographs."""

import os
from collections.abc import Iterable
from pathlib import Path


def link(path: Path, place: Path) -> None:
    """Makes a symbolic link to a file, unless it is there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        os.symlink(path.absolute(), place)


def photographic_stamps(stamps: Path, names: Iterable[str]) -> dict[str, list[Path]]:
    """Lists the PNG files that are no drawings, of some of the folders of Tux Paint's stamps.

    Raises:
        FileNotFoundError: If there are none.
    """
    found = {name: sorted((stamps / name).rglob("*.png")) for name in names}
    found = {name: [path for path in paths if "cartoon" not in path.parts] for name, paths in found.items()}
    if not any(found.values()):
        raise FileNotFoundError(
            f"{stamps} holds no stamps: --stamps must name the folder usr/share/tuxpaint/stamps of Debian's package "
            "(`apt-get download tuxpaint-stamps-default` and `dpkg -x tuxpaint-stamps-default_*.deb FOLDER`)."
        )
    return found
