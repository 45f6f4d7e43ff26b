"""The model: what people write, what is wrong in it, what has to be written for it."""
