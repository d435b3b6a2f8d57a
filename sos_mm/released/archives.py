"""7z archives, read by the library py7zr or by the program 7-Zip."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from sos_mm.checks import check_choice, require
from sos_mm.released.unpacking import Member, checksum, file_size
from sos_mm.released.volumes import VolumeFile

UNPACKERS = ("auto", "7z", "py7zr")
# Names of the program 7-Zip in Linux distributions.
_PROGRAMS = ("7zz", "7z", "7za")
_BLOCK = 2**20


def find_program() -> str | None:
    """Returns the path of the program 7-Zip, or None if it is not installed."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


class PythonArchive:
    """An archive that py7zr reads; it can do without the volumes that hold no wanted member.

    Args:
        name: Its name, for messages.
        volumes: Its volumes.

    Raises:
        ValueError: If it is not a 7z archive, or its listing is damaged.
        ImportError: If py7zr is missing.
    """

    def __init__(self, name: str, volumes: VolumeFile):
        self.name, self._volumes = name, volumes
        self._py7zr = require("py7zr", "Unpacking a 7z archive", "pip install 'sos_mm[hub]'")
        with self._damage():
            self._archive = self._py7zr.SevenZipFile(BufferedReader(volumes, _BLOCK))

    def close(self) -> None:
        """Closes the archive and its volumes."""
        self._archive.close()
        self._volumes.close()

    def members(self) -> Iterator[Member]:
        """Yields the files in the archive; folders are left out."""
        for each in self._archive.files:
            if not each.is_directory or each.is_junction:
                special = each.is_symlink or each.is_junction or each.is_socket
                yield Member(each.filename, each.uncompressed, each.crc32, special)

    def needed_volumes(self, wanted: Iterable[Member]) -> list[int]:
        """Returns the indices of the volumes that hold the compressed blocks of members."""
        streams = getattr(self._archive.header, "main_streams", None)
        if streams is None:
            return []
        names = {member.path for member in wanted}
        needed: set[int] = set()
        positions, start = streams.packinfo.packpositions, self._archive.afterheader
        for number, block in enumerate(streams.unpackinfo.folders):
            if any(each.filename in names for each in block.files or ()):
                needed.update(self._volumes.holding(start + positions[number], start + positions[number + 1]))
        return sorted(needed)

    def unpack(
        self, wanted: Iterable[Member], complete: bool, staging: Path, place: Callable[[Path, str], None]
    ) -> None:
        """Unpacks files, one after another; see `Archive.unpack`."""
        targets = [member.path for member in wanted]
        with self._damage():
            self._archive.extract(staging, targets, factory=_new_factory(staging, place))

    def _damage(self) -> "_Damage":
        return _Damage(self.name)


class _Damage:
    """Turns the many errors that py7zr raises for a damaged archive into one that says what to do."""

    def __init__(self, name: str):
        self._name = name

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        # Errors of the operating system and interruptions are about something else.
        if isinstance(error, Exception) and not isinstance(error, OSError | MemoryError | ImportError):
            text = f"The archive {self._name} cannot be read ({type(error).__name__}: {error}): "
            raise ValueError(
                f"{text}it is damaged, or not a 7z archive that py7zr knows; try `--unpack-with 7z`."
            ) from error


def _new_factory(staging: Path, place: Callable[[Path, str], None]) -> Any:
    """Creates what py7zr asks for files to write to: each is written to the staging folder, and placed when whole."""
    from py7zr.io import Py7zIO, WriterFactory

    class Part(Py7zIO):
        """A file that is being written; py7zr closes it after its checksum was right, and not otherwise."""

        def __init__(self, path: str):
            self._path, self._part = path, staging / "part"
            self._file = self._part.open("wb")

        def write(self, s: bytes | bytearray) -> int:
            return self._file.write(s)

        def read(self, size: int | None = None) -> bytes:
            return b""

        def seek(self, offset: int, whence: int = 0) -> int:
            return offset

        def seekable(self) -> bool:
            return False

        def flush(self) -> None:
            self._file.flush()

        def size(self) -> int:
            return self._file.tell()

        def close(self) -> None:
            self._file.close()
            place(self._part, self._path)

    class Factory(WriterFactory):
        """Opens the file of each member."""

        def create(self, filename: str) -> Part:
            return Part(Path(filename).relative_to(staging.absolute()).as_posix())

    return Factory()


class ProgramArchive:
    """An archive that the program 7-Zip reads, in less memory and time than py7zr; it needs all volumes.

    Args:
        name: Its name, for messages.
        volumes: Paths of all volumes, in one folder and with their own names.
        program: Path of the program.
    """

    def __init__(self, name: str, volumes: list[Path], program: str):
        self.name, self._first, self._program = name, volumes[0], program

    def members(self) -> Iterator[Member]:
        """Yields the files in the archive; folders are left out."""
        command = [self._program, "l", "-slt", "-ba", "-sccUTF-8", "-p", str(self._first)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        ) as listing:
            assert listing.stdout is not None
            entry: dict[str, str] = {}
            last = ""
            for line in listing.stdout:
                last = line.decode("utf-8", "surrogateescape").rstrip("\r\n") or last
                key, separator, value = line.decode("utf-8", "surrogateescape").rstrip("\r\n").partition(" = ")
                if key == "Path" and entry:
                    yield from self._member(entry)
                    entry = {}
                if separator:
                    entry[key] = value
            yield from self._member(entry)
        if listing.returncode:
            raise self._failed(last, listing.returncode)

    def unpack(
        self, wanted: Iterable[Member], complete: bool, staging: Path, place: Callable[[Path, str], None]
    ) -> None:
        """Unpacks files into the staging folder, and places them at the end; see `Archive.unpack`."""
        wanted = list(wanted)
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as names:
            command = [
                self._program,
                "x",
                "-y",
                "-spd",
                "-snl-",
                "-bso0",
                "-bsp1" if sys.stderr.isatty() else "-bsp0",
                "-p",
                f"-o{staging}",
            ]
            if not complete:
                names.write("\n".join(member.path for member in wanted) + "\n")
                names.flush()
                command += ["-scsUTF-8", f"-i@{names.name}"]
            done = subprocess.run(
                [*command, str(self._first)],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        # What is whole counts, also of a program that failed: its listing has the checksums.
        for member in wanted:
            part = staging / member.path
            if file_size(part) == member.size and (not done.returncode or checksum(part) == member.crc):
                place(part, member.path)
        if done.returncode:
            if "No space left" in done.stderr:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise self._failed(" ".join(done.stderr.split()), done.returncode)

    def _member(self, entry: dict[str, str]) -> Iterator[Member]:
        attributes = entry.get("Attributes", "")
        if "Path" not in entry or entry.get("Folder") == "+" or attributes.startswith("D"):
            return
        size, crc = entry.get("Size", ""), entry.get("CRC", "")
        unix = attributes.split()[-1] if attributes.split() else ""
        special = bool(entry.get("Symbolic Link") or entry.get("Hard Link")) or (
            len(unix) == 10 and unix[0] not in "-d"
        )
        yield Member(entry["Path"], int(size) if size.isdigit() else 0, int(crc, 16) if crc else None, special)

    def _failed(self, said: str, code: int) -> ValueError:
        return ValueError(
            f"The archive {self.name} cannot be read: {self._program} ends with code {code} ({said:.300}); it is "
            "damaged, or incomplete."
        )


def choose_unpacker(wanted: str) -> str | None:
    """Returns the program to unpack with, or None for py7zr.

    Args:
        wanted: One of `UNPACKERS`; 'auto' takes the program if it is installed.

    Raises:
        ValueError: If it is none of them.
        FileNotFoundError: If '7z' is wanted, but not installed.
    """
    check_choice("unpack_with", wanted, UNPACKERS)
    program = None if wanted == "py7zr" else find_program()
    if wanted == "7z" and program is None:
        raise FileNotFoundError(
            f"`--unpack-with 7z` needs the program 7-Zip ({', '.join(_PROGRAMS)}), but there is none: install it (on "
            "Debian and Ubuntu the package 7zip), or unpack with py7zr."
        )
    return program
