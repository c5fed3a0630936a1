"""Audit of a dataset: copies, leaks between training and test, label issues, shortcuts, quality issues.

`run_audit.run_audit` makes an `Audit` from a catalogue. `Audit.write` and `Audit.load` keep it in a folder.
"""

from gliascope.audit.result import Audit

__all__ = ["Audit"]
