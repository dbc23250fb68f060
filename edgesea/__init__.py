"""edgesea turns a big audio embedding model into one that fits a sensor, for your kind of sound."""

from firmware_export import __version__

__all__ = ["__version__"]
