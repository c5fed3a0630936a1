"""What the process and the machine are set to, and a record of it."""

import ctypes
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata

import torch

from gliascope.recipes import Precision
from gliascope.recipes.run import GitState
from gliascope.runtime.executors import cores

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_PACKAGES = ("gliascope", "torch", "timm", "lightning", "numpy", "onnxruntime", "pillow", "polars")


def keep_freed_memory() -> None:
    """Make glibc keep big freed blocks. For a process we own, before the first tensor.

    PyTorch on CPUs frees and allocates every layer's output; by default each goes back to the system, and
    the page faults then cost more than the arithmetic. Elsewhere than on glibc this does nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    if not mallopt(_M_MMAP_THRESHOLD, ctypes.c_int(1 << 30)):
        mallopt(_M_MMAP_THRESHOLD, ctypes.c_int(32 << 20))  # the most that older versions take
    mallopt(_M_TRIM_THRESHOLD, ctypes.c_int((1 << 31) - 1))
    mallopt(_M_TOP_PAD, ctypes.c_int(64 << 20))


def set_determinism(deterministic: bool) -> None:
    """Ask torch for the same bits on the same machine, or for speed."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
    # Filling every new tensor guards against reading it too early; here it would only cost time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def autocast(device: torch.device, precision: Precision = "auto") -> torch.autocast:
    """bf16 where that is enough, or float32, as a recipe asks."""
    return torch.autocast(device.type, torch.bfloat16, enabled=_in_bf16(device, precision))


def _in_bf16(device: torch.device, precision: Precision) -> bool:
    if device.type == "cuda" and precision != "float32":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return precision == "bf16"


def engine_name(device: torch.device, precision: Precision = "auto") -> str:
    """What computes under `mixed`, and how: others round differently, so what is kept says which made it."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"torch {torch.__version__} {name} {'bf16' if _in_bf16(device, precision) else 'float32'}"


def describe_environment(device: torch.device) -> Mapping[str, str | int]:
    """Versions and hardware, for the Run's record. Holds no host or user name."""
    record: dict[str, str | int] = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }
    return record | {name: metadata.version(name) for name in _PACKAGES}


def git_state() -> GitState | None:
    """Of the current folder, without names; None outside a repository, before a first commit, without git."""
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain")
    return None if commit is None or changes is None else GitState(commit=commit.strip(), dirty=bool(changes))


def _git(*arguments: str) -> str | None:
    # Without locks: a look must not stand in the way of a commit that is made meanwhile.
    command = ["git", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout
