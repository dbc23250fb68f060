"""store.json: what a store of embeddings was made from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edgesea.formats.fields import Plain, Strict, Word

FILE = "store.json"
VERSION = 1
LARGEST = 1 << 20


class StoreDescription(Strict):
    format: Literal[1] = Field(description="version of the store")
    made_from: Annotated[dict[Word, Plain], Field(max_length=100)] = Field(
        description="what the rows are a function of: teacher, data, frontend, hop and what else was chosen"
    )
