"""Servers of a bundle that was made without torch."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from quadrants import quadrant_bundle
from served import serving

from gliascope.server.models import ModelSource


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundles") / "quadrants"
    quadrant_bundle().write(path, "# Card")
    return path


@pytest.fixture
def serve(bundle_path: Path) -> Iterator[Callable[..., TestClient]]:
    """`serve(queue_slices=4)` is a client of a server with these settings."""
    with ExitStack() as servers:
        yield lambda **settings: servers.enter_context(
            serving([ModelSource("quadrants", bundle_path)], **settings)
        )


@pytest.fixture(scope="module")
def client(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of one server for all tests of a file."""
    temporary = tmp_path_factory.mktemp("temporary")
    with serving([ModelSource("quadrants", bundle_path)], temporary=temporary) as one:
        yield one
