"""Terminals without UTF-8, users without a home or a name, and modules that are missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gliascope.cli.environment import missing_module

SECONDS = 240


def gliascope(*arguments: object, before: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own, after some lines of Python; None as a value takes a variable out."""
    program = f"{before}\nfrom gliascope.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        timeout=SECONDS,
        env={key: value for key, value in (os.environ | environment).items() if value != "-"},
    )


@pytest.mark.parametrize(
    "encoding", ["ascii", *(pytest.param(name, marks=pytest.mark.slow) for name in ("latin-1", "utf-8"))]
)
def test_a_terminal_that_lacks_letters_gets_what_looks_like_them(
    official_source: Path, tmp_path: Path, encoding: str
) -> None:
    """It was a traceback, after all was done."""
    source = official_source.rename(tmp_path / "Köpfe – 脑")
    out = tmp_path / "脑.parquet"
    environment = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for arguments in (
        ("scan", source, "--out", out),
        ("split", out, "--out", tmp_path / "é.parquet"),
        ("recipes",),
    ):
        done = gliascope(*arguments, **environment)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
    done = gliascope("scan", source, "--out", out, **environment)
    # What click prints, it prints as UTF-8 where the encoding is ASCII.
    shown = "脑" if encoding in ("utf-8", "ascii") else "\\u8111"
    assert f"{shown}.parquet".encode() in done.stdout
    assert b"?????" not in done.stdout
    refused = gliascope("scan", tmp_path / "脑 –", **environment)
    assert refused.returncode == 2
    dash = "-" if encoding in ("latin-1", "cp437") else "–"
    assert f"{shown} {dash}".encode("utf-8" if encoding == "ascii" else encoding) in refused.stderr


def test_the_c_locale_is_no_trouble(official_source: Path, tmp_path: Path) -> None:
    for more in ({}, {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        done = gliascope(
            "scan", official_source, "--out", tmp_path / "c.parquet", LC_ALL="C", LANG="C", **more
        )
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr


NOBODY = """
import pwd
def unknown(_):
    raise KeyError("getpwuid(): uid not found: 12345")
pwd.getpwuid = unknown
"""
NAMES = dict.fromkeys(("USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CACHE_HOME", "MPLCONFIGDIR"), "-")


@pytest.mark.parametrize("command", ["run", pytest.param("train", marks=pytest.mark.slow), "store"])
def test_a_user_without_a_home_is_told_of_the_cache_before_the_work(
    official_source: Path, tmp_path: Path, command: str
) -> None:
    files = ()
    if command != "run":
        files = (tmp_path / "c.parquet", tmp_path / "s.parquet")[: 2 if command == "train" else 1]
        assert gliascope("scan", official_source, "--out", tmp_path / "c.parquet").returncode == 0
        assert gliascope("split", tmp_path / "c.parquet", "--out", tmp_path / "s.parquet").returncode == 0
    arguments = (
        command,
        *(files or (official_source,)),
        *(() if command == "store" else ("--out", tmp_path / "out")),
    )
    done = gliascope(*arguments, before=NOBODY, HOME="-", GLIASCOPE_CACHE="-", **NAMES)
    assert done.returncode == 2
    message = "error: this user has no home folder for the cache; set GLIASCOPE_CACHE to another folder\n"
    assert done.stderr.decode() == message
    (tmp_path / "file").write_text("")
    done = gliascope(*arguments, HOME=str(tmp_path / "file"), GLIASCOPE_CACHE="-", **NAMES)
    assert done.returncode == 2
    assert done.stderr.decode().endswith(
        "/gliascope: the cache cannot be written there (Not a directory); set GLIASCOPE_CACHE to another folder\n"
    )
    assert done.stderr.count(b"\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_user_without_a_name_scans_all_the_same(official_source: Path, tmp_path: Path) -> None:
    own = {"HOME": "-", "GLIASCOPE_CACHE": str(tmp_path / "cache")} | NAMES
    done = gliascope("store", "none.parquet", before=NOBODY + "import getpass", **own)
    assert done.returncode == 2
    assert b"not found; make it with" in done.stderr
    ask = (
        NOBODY
        + "from gliascope.cli.environment import set_up_process; set_up_process(); import getpass; print(getpass.getuser())"
    )
    named = gliascope("--help", before=ask, **own)
    assert named.stdout.splitlines()[0] == f"user-{os.getuid()}".encode()


def imported(program: str, *paths: Path) -> bytes:
    more = os.pathsep.join(map(str, paths))
    done = gliascope("recipes", before=program, PYTHONPATH=more)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    return done.stderr


def test_only_what_we_import_ourselves_is_explained_by_extras(tmp_path: Path) -> None:
    """A broken installation and a user's file of an unlucky name were answered by `pip install`."""
    hook = "import sys, gliascope.recipes as r\n"
    ours = (
        hook
        + "sys.modules['torch'] = None\ndef f(*_):\n    import gliascope.training.environment\nr.recipe_names = f"
    )
    assert (
        imported(ours)
        == b"error: torch is missing: pip install 'gliascope[train]', or [data] for `evaluate` alone\n"
    )
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "__init__.py").write_text("import sympy_that_is_not_there\n")
    theirs = hook + "def f(*_):\n    import broken\nr.recipe_names = f"
    told = imported(theirs, tmp_path)
    assert b"gliascope[" not in told
    assert str(tmp_path / "broken" / "__init__.py").encode() in told
    assert b"No module named 'sympy_that_is_not_there'; reinstall the package of this file" in told
    (tmp_path / "optuna.py").write_text("mine = 1\n")
    hiding = hook + "def f(*_):\n    from optuna import Study\nr.recipe_names = f"
    told = imported(hiding, tmp_path)
    assert b"cannot import name 'Study' from 'optuna'" in told
    assert b"rename a file of your own that hides the module" in told


def test_what_a_package_of_others_lacks_is_no_extra_of_ours() -> None:
    try:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")
    except ModuleNotFoundError as error:  # raised by this file, which is not ours to explain
        message = missing_module(error)
    assert "gliascope[" not in message
    assert __file__ in message
