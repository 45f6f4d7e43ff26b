"""Prices: usage out of responses, and what it costs."""
