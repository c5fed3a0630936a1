"""Settings of the process that affect training, and a record of the software and hardware."""

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
    """Make glibc keep large freed blocks instead of returning them to the operating system.

    PyTorch on CPUs allocates and frees every layer's output. By default each of these goes back to the
    system, and the page faults then cost more than the arithmetic. This affects the whole process, so only a
    process of our own calls this function, before it creates a tensor. Without glibc the function does
    nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    if not mallopt(_M_MMAP_THRESHOLD, ctypes.c_int(1 << 30)):
        mallopt(_M_MMAP_THRESHOLD, ctypes.c_int(32 << 20))  # the largest value that older versions accept
    mallopt(_M_TRIM_THRESHOLD, ctypes.c_int((1 << 31) - 1))
    mallopt(_M_TOP_PAD, ctypes.c_int(64 << 20))


def set_determinism(deterministic: bool) -> None:
    """Make torch compute the same bits in every run on the same machine, or let it choose the fastest way."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
    # By default, deterministic mode also fills new tensors, against reading them too early; that only costs
    # time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def autocast(device: torch.device, precision: Precision = "auto") -> torch.autocast:
    """Context in which torch computes in bf16 or float32, as the recipe's precision and the device allow."""
    return torch.autocast(device.type, torch.bfloat16, enabled=_in_bf16(device, precision))


def _in_bf16(device: torch.device, precision: Precision) -> bool:
    if device.type == "cuda" and precision != "float32":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return precision == "bf16"


def engine_name(device: torch.device, precision: Precision = "auto") -> str:
    """Name what computes, and its precision, for the keys of caches: other engines round differently."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"torch {torch.__version__} {name} {'bf16' if _in_bf16(device, precision) else 'float32'}"


def describe_environment(device: torch.device) -> Mapping[str, str | int]:
    """Versions and hardware, for the record of a run; without names of the host or the user."""
    record: dict[str, str | int] = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }
    return record | {name: metadata.version(name) for name in _PACKAGES}


def git_state() -> GitState | None:
    """Commit of the current folder, and whether files differ from it; None without git or a commit."""
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain")
    return None if commit is None or changes is None else GitState(commit=commit.strip(), dirty=bool(changes))


def _git(*arguments: str) -> str | None:
    # Without locks, so that this does not block a commit that the user makes at the same time.
    command = ["git", "--no-optional-locks", *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return result.stdout
