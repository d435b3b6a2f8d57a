"""Fetching of a released data set: what to download, and the order of the steps."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sos_mm.checks import few, writable_folder
from sos_mm.formats.phrases import category_key
from sos_mm.locks import sole_run
from sos_mm.released.archives import ProgramArchive, PythonArchive, choose_unpacker
from sos_mm.released.banks import BankFinder, is_segment
from sos_mm.released.catalogue import ReleasedSet
from sos_mm.released.hub import HubRepository, RemoteFile
from sos_mm.released.state import LOCK, State, read_state
from sos_mm.released.unpacking import Archive, check_members, unpack
from sos_mm.released.volumes import VolumeFile, group_volumes, is_volume
from sos_mm.space import check_space, format_size
from sos_mm.terminal import progress_bar

# Files of the hub's own, which nobody needs.
_PASSED_OVER = (".gitattributes",)
# Files from this size on are recorded when they are verified; others are verified anew by each run.
_RECORDED = 2**20


@dataclass(frozen=True)
class Fetched:
    """A data set that was fetched.

    Attributes:
        folder: Its folder.
        banks: Banks of segments in it, as `build_bank` takes them.
        kept: Bytes of archives that stay in the hub's cache.
        cache: The hub's cache.
    """

    folder: Path
    banks: list[dict[str, Any]]
    kept: int
    cache: Path


def fetch(
    source: ReleasedSet,
    out: str | Path,
    categories: Sequence[str] | None = None,
    *,
    repository: HubRepository | None = None,
    revision: str | None = None,
    accept_no_licence: bool = False,
    unpack_with: str = "auto",
    remove_archives: bool = False,
    progress: bool = True,
    tell: Callable[[str], None] = print,
) -> Fetched:
    """Downloads a data set and unpacks its archives; a run that was stopped is continued.

    Args:
        source: The data set, from `find_set`.
        out: Folder of the result: links to the files in the hub's cache, the unpacked files, and ``download.json``.
        categories: Categories of segments to unpack; all if None. Of archives, only the volumes that hold them are
            downloaded, and of files in folders by category only those.
        repository: The repository on the hub; opened with the settings of the environment if None.
        revision: Branch, tag or commit; None for that of the earlier runs in ``out``, else the main branch.
        accept_no_licence: Whether to go on if the data set's card names no licence.
        unpack_with: 'py7zr', '7z' (the program), or 'auto': the program if it is installed and all is unpacked.
        remove_archives: Whether to remove archives from the hub's cache when they are unpacked.
        progress: Whether to show progress bars on stderr.
        tell: Called with lines about what is done.

    Raises:
        HubError: See `HubRepository`.
        OSError: If the disk has too little space, or becomes full.
        PermissionError: If no licence is named, and this is not accepted.
        ValueError: If there is no such category, a volume is missing, or an archive is damaged.
        ImportError: If a library is missing; names the extra.
    """
    if categories is not None and source.by_category is False:
        raise ValueError(
            f"`categories` are for sets of segments, but {source.name} holds {source.contents}: leave it out."
        )
    program = choose_unpacker(unpack_with)
    folder = writable_folder(out, "The folder of the data set")
    with sole_run(folder, LOCK):
        state = read_state(folder, source.repository)
        if repository is None:
            repository = HubRepository(source.repository, revision or (state.commit if state else None), tell=tell)
        if state is not None and state.commit != repository.commit:
            raise ValueError(
                f"{out} holds {state.repository} at {state.commit[:12]}, but {repository.commit[:12]} is asked for: "
                "choose another folder."
            )
        state = state or State(repository.repository, repository.commit, repository.licence)
        job = _Job(repository, folder, state, None if categories is None else _keys(categories), progress, tell)
        job.check_licence(accept_no_licence)
        job.run(program if categories is None or unpack_with == "7z" else None, remove_archives)
    kept = sum(file.size for path, file in repository.files.items() if is_volume(path) and repository.cached(file))
    return Fetched(Path(out), state.banks, kept, repository.cache)


def _keys(categories: Iterable[str]) -> dict[str, str]:
    return {category_key(name): name for name in categories}


class _Job:
    """One run of `fetch`.

    Args:
        repository: The data set on the hub.
        out: Folder of the result.
        state: What earlier runs have done.
        wanted: Categories to unpack, by key; all if None.
        progress: Whether to show progress bars.
        tell: Called with lines about what is done.
    """

    def __init__(
        self,
        repository: HubRepository,
        out: Path,
        state: State,
        wanted: dict[str, str] | None,
        progress: bool,
        tell: Callable[[str], None],
    ):
        self.repository, self.out, self.state, self.wanted = repository, out, state, wanted
        self.progress, self.tell = progress, tell
        files = {path: file for path, file in repository.files.items() if path not in _PASSED_OVER}
        self.archives = self._chosen_archives(group_volumes(files))
        self.plain = self._chosen_files([file for path, file in files.items() if not is_volume(path)])

    def check_licence(self, accepted: bool) -> None:
        """Tells the licence; raises PermissionError if none is named and this is not accepted."""
        name = f"{self.repository.repository} at {self.repository.commit[:12]}"
        size = format_size(sum(file.size for file in self.repository.files.values()))
        self.tell(
            f"{name}: {len(self.repository.files)} files, {size}; licence: {self.repository.licence or 'none named'}"
        )
        if self.repository.licence is None and not accepted:
            raise PermissionError(
                f"The card of {self.repository.repository} names no licence, so no use of the data is permitted by "
                "its authors: ask them, or pass `--accept-no-licence` to download it all the same."
            )

    def run(self, program: str | None, remove_archives: bool) -> None:
        """Downloads and unpacks what is missing."""
        pending = {name: volumes for name, volumes in self.archives.items() if not self._is_unpacked(name)}
        self._check_space(pending, only_some=self.wanted is not None)
        self.state.save(self.out)
        for file, path in zip(self.plain, self._download(self.plain), strict=True):
            _link(path, self.out / file.path)
        finder = BankFinder(self.out, [file.path for file in self.plain], partial=self.wanted is not None)
        for name, volumes in pending.items():
            self._unpack(name, volumes, program, finder)
        if len(pending) == len(self.archives):
            self._check_found(finder)
        self.state.unpacked |= {name: self._categories_now(name) for name in pending}
        banks = finder.banks(list(self.wanted.values()) if self.wanted else None)
        self.state.banks = list({_place(bank): bank for bank in [*self.state.banks, *banks]}.values())
        self.state.save(self.out)
        if remove_archives:
            for volume in (each for volumes in self.archives.values() for each in volumes):
                self.repository.forget(volume)

    def _chosen_archives(self, groups: dict[str, list[str]]) -> dict[str, list[RemoteFile]]:
        """Returns the archives to download: if archives are named by category, those of the wanted ones."""
        archives = {name: [self.repository.files[path] for path in paths] for name, paths in groups.items()}
        if self.wanted is None:
            return archives
        named = {name: each for name, each in archives.items() if self._is_of_wanted(name.removesuffix(".7z"))}
        return named or archives

    def _chosen_files(self, files: list[RemoteFile]) -> list[RemoteFile]:
        """Returns the other files to download: of segments in folders by category, those of the wanted ones."""
        if self.wanted is None:
            return files
        return [file for file in files if not is_segment(file.path) or self._is_of_wanted(file.path)]

    def _is_of_wanted(self, path: str) -> bool:
        """Returns whether a folder in a path, or its name, is a wanted category."""
        return self.wanted is not None and any(category_key(part) in self.wanted for part in PurePosixPath(path).parts)

    def _is_unpacked(self, name: str) -> bool:
        if name not in self.state.unpacked:
            return False
        done = self.state.unpacked[name]
        return done is None or (self.wanted is not None and set(self.wanted) <= set(_keys(done)))

    def _categories_now(self, name: str) -> list[str] | None:
        if self.wanted is None:
            return None
        return sorted({*(self.state.unpacked.get(name) or ()), *self.wanted.values()})

    def _check_space(self, pending: dict[str, list[RemoteFile]], only_some: bool) -> None:
        """Asks for the disk space of the download and, as images hardly compress, as much for the unpacked files.

        What an archive needs is known exactly, and asked for, when its listing was read: of one that is in the cache,
        maybe half unpacked, or of which only some members are wanted, nothing else is asked for here.
        """
        missing = {name: sum(map(self.repository.missing_bytes, volumes)) for name, volumes in pending.items()}
        estimated = [] if only_some else [name for name in pending if missing[name]]
        plain = sum(map(self.repository.missing_bytes, self.plain))
        needs = {
            self.repository.cache: plain + sum(missing[name] for name in estimated),
            self.out: sum(file.size for name in estimated for file in pending[name]),
        }
        check_space(needs, f"Downloading and unpacking {self.repository.repository}")

    def _download(self, files: Sequence[RemoteFile]) -> list[Path]:
        """Downloads files and verifies each once."""
        paths = []
        missing = sum(map(self.repository.missing_bytes, files))
        if missing:
            self.tell(f"downloading {format_size(missing)} to {self.repository.cache}")
        with progress_bar(total=len(files), unit="files", shown=self.progress and missing > 0) as bar:
            for file in files:
                paths.append(self._verified(file))
                bar.update()
        return paths

    def _verified(self, file: RemoteFile) -> Path:
        path = self.repository.cached(file)
        if path is None or self.state.verified.get(file.path) != _stamp(path):
            path = self.repository.download(file)
            if file.size >= _RECORDED:
                self.state.verified[file.path] = _stamp(path)
                self.state.save(self.out)
        return path

    def _unpack(self, name: str, volumes: list[RemoteFile], program: str | None, finder: BankFinder) -> None:
        if program is not None:
            paths = self._download(volumes)
            archive: Archive = ProgramArchive(name, paths, program)
            self.tell(f"unpacking {name} with {program}")
            self._unpack_members(archive, volumes, finder)
            return
        if self.wanted is None:
            self._download(volumes)
        # A volume that is not there yet is downloaded when it is read: at first those that hold the listing.
        sizes = [volume.size for volume in volumes]
        python = PythonArchive(name, VolumeFile(sizes, lambda index: self._verified(volumes[index])))
        try:
            self._unpack_members(python, volumes, finder)
        finally:
            python.close()

    def _unpack_members(self, archive: Archive, volumes: list[RemoteFile], finder: BankFinder) -> None:
        members = [
            member for member in check_members(archive.members(), archive.name) if finder.see(member.path, self.wanted)
        ]
        if self.wanted is not None and isinstance(archive, PythonArchive):
            # At most: the last ones of a block are not read if no wanted member is in them.
            needed = [volumes[index] for index in archive.needed_volumes(members)]
            missing = sum(map(self.repository.missing_bytes, needed))
            sizes = sum(member.size for member in members)
            check_space({self.repository.cache: missing, self.out: sizes}, f"Downloading parts of {archive.name}")
            self.tell(f"downloading up to {format_size(missing)} of {archive.name} while it is unpacked")
        number = unpack(archive, members, self.out, self.wanted is None, self.progress)
        self.tell(f"{archive.name}: {len(members)} files, {number} of them unpacked now")

    def _check_found(self, finder: BankFinder) -> None:
        """Raises ValueError if a wanted category is in none of the archives that were read."""
        absent = set(self.wanted or ()) - finder.categories
        if self.wanted and finder.categories_there and absent:
            names = [self.wanted[key] for key in absent]
            raise ValueError(
                f"`categories` names {few(names)}, but {self.repository.repository} has no segments of that name; it "
                f"has {few(finder.categories_there)}."
            )


def _place(bank: dict[str, Any]) -> Any:
    return bank.get("root") or bank.get("files")


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _link(path: Path, link: Path) -> None:
    """Makes a link to a file in the cache; replaces one of an earlier run."""
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink():
        if os.readlink(link) == str(path.resolve()):
            return
        link.unlink()
    elif link.exists():
        raise FileExistsError(f"{link} must be free for a file of the data set, but is there: choose another folder.")
    link.symlink_to(path.resolve())
