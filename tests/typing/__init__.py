"""What type checkers read: the public interface as users write it."""
