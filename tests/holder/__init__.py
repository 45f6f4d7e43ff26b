"""Tests of the room that waits: liveness, pages, exchanges."""
