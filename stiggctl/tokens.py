"""Tokens: the classes of what a response uses, as usage, prices and events name them.

Here: their names. Not here: what they mean in a response (prices/shapes.py), what one costs (prices/).
"""

from typing import Final

#: The classes that each event names, also where none were used: rates may count them.
ALWAYS_SAID: Final = (
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "input_audio",
    "output_audio",
)
#: The classes that few models have; an event names those that were used.
SELDOM_SAID: Final = (
    "cache_read_audio",
    "input_image",
    "cache_read_image",
    "output_image",
    "input_video",
    "output_video",
)
TOKEN_CLASSES: Final = ALWAYS_SAID + SELDOM_SAID
#: What has a price by itself, not by the million.
EACH: Final = ("requests", "web_searches")
