"""Crashes: real processes, killed at random points."""
