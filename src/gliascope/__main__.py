"""`python -m gliascope`."""

from gliascope.cli import main

main()
