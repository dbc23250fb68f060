"""edgesea turns a big audio embedding model into one that fits a sensor, for your kind of sound."""

__version__ = "0.1.0"
