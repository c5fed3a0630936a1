"""See through a dataset before believing it: copies, leaks, label conflicts, shortcuts, damage."""

from gliascope.data.audit.result import Audit

__all__ = ["Audit"]
