"""What integrations tell other tools."""
