"""Prepare for unusual environments: terminals without UTF-8, users without a name, missing modules."""

import codecs
import getpass
import io
import logging
import os
import sys
import traceback
from pathlib import Path

_PLAIN = str.maketrans(
    {"–": "-", "—": "-", "−": "-", "…": "...", "×": "x", "≥": ">=", "’": "'", "“": '"', "”": '"'}
    | dict.fromkeys("\N{NARROW NO-BREAK SPACE}\N{NO-BREAK SPACE}\N{THIN SPACE}", " ")
)
# The extra of pip that installs each module which Gliascope imports.
_TRAIN = (
    "cv2 lightning onnx onnx_ir onnxscript optuna pytorch_grad_cam safetensors tensorboard timm torch torchio"
)
_DATA = "cleanlab faiss jinja2 matplotlib nilearn scipy sklearn"
_SERVE = "fastapi limits pebble prometheus_client pydantic_settings python_multipart starlette uvicorn"
_EXTRAS = {
    **dict.fromkeys(_TRAIN.split(), "train"),
    **dict.fromkeys(_DATA.split(), "data"),
    "h5py": "data",
    "kagglehub": "fetch",
    "requests": "fetch",
    "mlflow": "mlflow",
    **dict.fromkeys(("ray", "upath", "s3fs"), "scale"),
    **dict.fromkeys(_SERVE.split(), "serve"),
}


def set_up_process() -> None:
    """Set up the process: module search path, encoding of the terminal, name of the user."""
    # Python would import modules from the current folder, and a folder of slices may hold a random.py.
    os.environ["PYTHONSAFEPATH"] = "1"  # for child processes
    codecs.register_error("gliascope", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="gliascope")
    try:
        getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name, which torch asks for
        os.environ["LOGNAME"] = f"user-{os.getuid()}"
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 (Path.home() raises without one)
    if not (home.is_dir() and os.access(home, os.W_OK)):
        logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it would warn in three lines
        if cache := os.environ.get("GLIASCOPE_CACHE"):
            os.environ.setdefault("MPLCONFIGDIR", str(Path(cache) / "matplotlib"))


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replace letters that the terminal's encoding lacks by similar ones, or by escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_PLAIN)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


def missing_module(error: ImportError) -> str:
    """Return one line with the remedy for a failed import.

    A module that Gliascope imports itself comes with one of its extras. Otherwise another package was
    installed without its dependencies, or a file of the same name hides the module.
    """
    module = (error.name or "").partition(".")[0]
    where = traceback.extract_tb(error.__traceback__)
    importer = next((Path(frame.filename) for frame in reversed(where) if frame.filename[:1] != "<"), Path())
    ours = Path(__file__).parents[1]
    if isinstance(error, ModuleNotFoundError) and module in _EXTRAS and importer.is_relative_to(ours):
        extra = _EXTRAS[module]
        also = ", or [data] for `evaluate` alone" if extra == "train" else ""
        return f"{error.name} is missing: pip install 'gliascope[{extra}]'{also}"
    reason = " ".join(str(error).split())
    found = f" ({error.path})" if error.path and error.path not in reason else ""
    return (
        f"{importer}: {reason}{found}; reinstall the package of this file, or rename a file of your own that "
        "hides the module"
    )
