"""What `edgesea search` keeps in its folder: what it looks for, what it tried, and what came out."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from edgesea.formats.fields import Bytes, Count, NotNegative, Positive, Real, Strict, Text, Word, bounded

FORMAT: Final = "edgesea search"
VERSION: Final = 1
LARGEST = 1 << 24

SEARCH, RESULT, CANDIDATES = "search.json", "result.json", "candidates"


class SearchNeeds(Strict):
    flash: Bytes = Field(description="of the whole sensor program")
    ram: Bytes = Field(description="of the whole sensor program")
    instructions: Count = Field(description="of one inference on a Cortex-M4, estimated")


class SearchBudget(Strict):
    board: Word = Field(description="name of the board")
    flash: Bytes = Field(description="the most, in bytes")
    ram: Bytes = Field(description="the most, in bytes")
    instructions: Count | None = Field(description="the most on a Cortex-M4; null for any number")


class Candidate(Strict):
    """One student that was tried."""

    number: Count = Field(description="in the order in which they were drawn")
    drawn: Annotated[dict[Word, int | Word], Field(max_length=100)] = Field(
        description="what was chosen; nothing for a student made by hand"
    )
    student: Text = Field(description="as --student takes it")
    dimension: Positive = Field(description="of its embedding")
    needs: SearchNeeds | None = Field(description="null where it has no C model")
    state: Literal["trained", "pruned", "too large", "failed"] = Field(
        description="pruned: its training ended early, behind the median"
    )
    curve: Annotated[list[Real], Field(max_length=100_000)] = Field(description="score, an entry an epoch")
    seconds: NotNegative = Field(description="that it took")
    note: Text | None = Field(None, description="why it failed")

    @property
    def score(self) -> float | None:
        """The best of its curve."""
        return max(self.curve, default=None)


class Search(Strict):
    """What is looked for: another call goes on with a search only where all of it is the same."""

    format: Literal["edgesea search"] = Field(description="always this")
    format_version: Literal[1] = Field(description="of this format")
    config: Annotated[dict[Word, Any], Field(max_length=100), AfterValidator(bounded)] = Field(
        description="of the winner's run, as in config.toml; student and dim are the search's"
    )
    budget: SearchBudget = Field(description="what a student may need")
    families: Annotated[list[Word], Field(min_length=1, max_length=20)] = Field(description="drawn from")
    dimensions: Annotated[list[Positive], Field(min_length=1, max_length=50)] = Field(
        description="drawn from"
    )
    trial_frames: Positive = Field(description="that a candidate is trained on")
    trial_epochs: Positive = Field(description="that a candidate is trained for")


class Found(Strict):
    number: Count = Field(description="of the candidate")
    student: Text = Field(description="as --student takes it")
    dimension: Positive = Field(description="of its embedding")
    score: Real = Field(description="R² of the teacher's embedding, guessed linearly, on validation sound")
    needs: SearchNeeds = Field(description="of a board")


class Result(Strict):
    format: Literal["edgesea search"] = Field(description="always this")
    format_version: Literal[1] = Field(description="of this format")
    budget: SearchBudget = Field(description="what a student may need")
    tried: Annotated[dict[Word, Count], Field(max_length=10)] = Field(description="candidates by their state")
    seconds: NotNegative = Field(description="that all candidates took")
    front: Annotated[list[Found], Field(max_length=100_000)] = Field(
        description="those that no other beats in score, flash, RAM and instructions at once, the best first"
    )
    winner: Found = Field(description="the one with the best score")
    recipe: Annotated[str, Field(max_length=20_000)] = Field(
        description="the command that distils the winner"
    )
