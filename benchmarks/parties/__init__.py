"""The measured programs; each runs as a process of its own.

What is imported here and in `serving` must exist in every environment, so it is
the standard library alone.
"""
