"""What a student is: a value that says all of its shape, and builds the network."""

from abc import ABC, abstractmethod
from typing import ClassVar


class Student(ABC):
    """A small model, patch -> embedding; its fields are what may be chosen, or searched over.

    Attributes
    ----------
    frontend : str or None
        The preset that it was made for; None takes the teacher's where that is small enough.
    learning_rate : float > 0
        Of AdamW, batches of 64: what it learns with where nothing is said.
    """

    frontend: ClassVar[str | None] = None
    learning_rate: ClassVar[float] = 3e-3

    @abstractmethod
    def build(self, frames: int, mels: int, dimension: int, name: str = "student"):
        """A new, untrained `keras.Model`.

        Input: patch (B, frames, mels, 1) float32, log units. Output: embedding (B, dimension) float32.

        Raises
        ------
        ValueError
            The patch is too small; the text says why.
        """
