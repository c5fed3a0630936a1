"""The commands that need several packages, one file each.

This is the only package that imports both the learning half (torch) and the half that runs (no torch).
"""
