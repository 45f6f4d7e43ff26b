"""Integrations: what other tools want to know of a control, through its public names alone.

Here: prometheus.py (extra `[prometheus]`), otel.py (extra `[otel]`). Each is imported where it is used:
none of their packages is needed otherwise.
"""
