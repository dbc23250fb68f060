"""edgesea-project.json: what tells a project of edgesea's, which may be replaced, from another folder."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgesea.formats.fields import Inside, Strict, Word

FILE = "edgesea-project.json"
VERSION = None
LARGEST = 1 << 20


class Marker(Strict):
    edgesea: Word = Field(description="the version that wrote it")
    kind: Word = Field(description="arduino, arduino-library, cmake, esp-idf, pico-sdk, platformio or zephyr")
    board: Word = Field(description="name of the board")
    files: Annotated[list[Inside], Field(max_length=5000)] = Field(description="paths in the project")
