"""Packages that are not needed by every command: what a command says where one is missing."""

from __future__ import annotations

from importlib.util import find_spec

from midpo.symbolic.errors import MidpoError

# Each with the packages that are installed for it.
OPTIONAL = {
    "numpy": "numpy",
    "matplotlib": "matplotlib numpy",
    "torch": "torch numpy",
    "triton": "triton",
    "trl": "trl",
}


def have(package: str) -> bool:
    """Whether a package can be imported, told without importing it."""
    try:
        return find_spec(package) is not None
    except ImportError:
        return False
    except ValueError:  # it is loaded, by other means than a finder's
        return True


def advice(package: str) -> str:
    return f"pip install {OPTIONAL.get(package, package)}"


def missing(error: ImportError, who: str) -> MidpoError:
    """One line on what to install, where `error` comes of an optional package that is missing;
    of anything else `error` is raised again."""
    package = (error.name or "").partition(".")[0]
    if package not in OPTIONAL:
        raise error
    if have(package):  # it is there, and does not work
        return MidpoError(f"{who} needs {package}, which cannot be imported: {error}")
    return MidpoError(f"{who} needs {package}, which is not installed: {advice(package)}")


def needed(who: str, *packages: str) -> None:
    """Raises: MidpoError that names all of `packages` that are missing, and what to install."""
    lacking = [package for package in packages if not have(package)]
    if lacking:
        words = " ".join(dict.fromkeys(" ".join(OPTIONAL[p] for p in lacking).split()))
        verb = "is" if len(lacking) == 1 else "are"
        raise MidpoError(
            f"{who} needs {' and '.join(lacking)}, which {verb} not installed: pip install {words}"
        )
