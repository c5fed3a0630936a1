from pathlib import Path

import pytest

from gliascope.inference.bundle import Bundle


@pytest.fixture
def bundle_folder(bundle: Bundle, tmp_path: Path) -> Path:
    bundle.write(tmp_path / "bundle", "# card")
    return tmp_path / "bundle"
