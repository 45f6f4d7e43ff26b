"""Tests: promises in public names, the rooms one by one, and the style of it all."""
