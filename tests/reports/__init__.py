"""Reports as functions over rows."""
