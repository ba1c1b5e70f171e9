"""Sekisho: a governed gateway between staff and any LLM backend.

A request passes one straight line (`pipeline.py`): receive, identify, describe, decide, prepare,
clear, record, forward, release. Nothing reaches a backend, and no answer comes back, except
through the gate, the rules, a person where the rules say so, and the ledger.
"""

__version__ = "0.1.0"
