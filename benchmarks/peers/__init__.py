"""What others do, as they do it: scripts that run in processes, and environments, of their own.

Each prints one line of JSON. None imports gliascope.
"""
