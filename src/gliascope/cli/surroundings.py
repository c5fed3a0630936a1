"""What the command line finds around it: terminals without UTF-8, users without a name, missing modules."""

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
# Which extra brings a module that we import ourselves.
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
    """Set up the process that a user has started."""
    # Python looks for modules in the folder it is started in: one of slices may hold anybody's random.py.
    os.environ["PYTHONSAFEPATH"] = "1"  # for processes that this one starts
    codecs.register_error("gliascope", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="gliascope")
    try:
        getpass.getuser()
    except (KeyError, OSError):  # a container's user that no list of users knows; torch asks for its name
        os.environ["LOGNAME"] = f"user-{os.getuid()}"
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 (Path.home() raises without one)
    if not (home.is_dir() and os.access(home, os.W_OK)):
        logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it would say so in three lines
        if cache := os.environ.get("GLIASCOPE_CACHE"):
            os.environ.setdefault("MPLCONFIGDIR", str(Path(cache) / "matplotlib"))


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What a terminal shows of letters that its encoding lacks: what looks like them, else their escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_PLAIN)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


def missing_module(error: ImportError) -> str:
    """What to do about an import that failed, in one line.

    Extras bring what we import ourselves. Anything else is missing to a package that was installed without
    what it needs, or hidden by a file of the same name.
    """
    module = (error.name or "").partition(".")[0]
    where = traceback.extract_tb(error.__traceback__)
    importer = next((Path(frame.filename) for frame in reversed(where) if frame.filename[:1] != "<"), Path())
    ours = Path(__file__).parents[1]
    if isinstance(error, ModuleNotFoundError) and module in _EXTRAS and importer.is_relative_to(ours):
        extra = _EXTRAS[module]
        also = ", or [data] to evaluate only" if extra == "train" else ""
        return f"{error.name} is missing: pip install 'gliascope[{extra}]'{also}"
    reason = " ".join(str(error).split())
    found = f" ({error.path})" if error.path and error.path not in reason else ""
    return (
        f"{importer}: {reason}{found}; install again the package that this file is of, or rename a file of "
        "your own that hides the module"
    )
