"""Servers of small bundles in this process, and files to send to them."""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from fastapi.testclient import TestClient
from tiny import slice_image

from gliascope.server.app import create_app
from gliascope.server.models import ModelSource
from gliascope.server.settings import Settings

RATE = "100000/minute"


@contextmanager
def serving(sources: list[ModelSource], **settings: Any) -> Iterator[TestClient]:
    """Run a server in this process and yield its client; `client.app.state.context` is the server's context."""
    chosen = Settings(**({"rate": RATE, "workers": 1} | settings))
    app = create_app(chosen, sources)
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def png(label: int = 0, seed: int = 0, size: int = 48) -> bytes:
    content = io.BytesIO()
    slice_image(label, seed, size).save(content, format="png")
    return content.getvalue()


def volume(folder: Path, slices: int = 5, size: int = 32) -> bytes:
    """Make a NIfTI volume whose slices all differ."""
    values = np.random.default_rng(slices).normal(100, 20, (size, size + 2, slices)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / "v.nii.gz")
    return (folder / "v.nii.gz").read_bytes()


def send(*files: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    """Make the `files=` argument of a request."""
    return [("files", file) for file in files]


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
