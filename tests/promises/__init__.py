"""Promises: what a user could hold the library to, said in public names only."""
