"""Benchmarks: how fast it decides and books, as multiples of what one would write by hand.

Here: what is measured (decide.py, book.py) and how (measuring.py); README.md says how to read it.
"""
