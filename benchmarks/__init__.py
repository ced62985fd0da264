"""Times this project beside its peers: `python -m benchmarks --help`.

Every measured program is a party: a process of its own, in the virtual
environment that it needs, which answers over a pipe (`parties/serving.py`).
Two parties take turns, so that a machine whose speed drifts drifts for both.
"""
