"""What `edgesea.evaluate()`, `edgesea.bench()` and `edgesea.fit()` answer, as values.

Each holds the JSON of `edgesea --json` and of the file in the run or bundle, offers the parts of it that are
asked for most as attributes, and shows itself as a table in notebooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgesea.measures.figures import FIDELITY, MEASURED, at, how, text
from edgesea.notebook import described, html

Rows = list[tuple[str, ...]]


@dataclass(frozen=True, repr=False)
class Answer:
    """The base of all three.

    Parameters
    ----------
    values : dict
        For JSON, see docs/formats.md.
    """

    values: dict[str, Any]

    def _part(self, name: str) -> dict[str, Any] | None:
        found = self.values.get(name)
        return None if found is None else dict(found)

    @property
    def _title(self) -> str:
        raise NotImplementedError

    @property
    def _columns(self) -> Sequence[str]:
        raise NotImplementedError

    def _rows(self) -> Rows:
        raise NotImplementedError

    def __repr__(self) -> str:
        """The table as text."""
        return described(self._title, self._rows())

    def _repr_html_(self) -> str:
        return html(self._title, self._columns, self._rows())


class Measurement(Answer):
    """What a model takes up and how long it takes, on one device.

    Examples
    --------
    >>> measurement = edgesea.bench("bundle", runs=5)
    >>> measurement.device, measurement.latency_ms["n"]
    ('host', 5)
    """

    @property
    def device(self) -> str:
        """host, rpi, qemu:CORE or serial:PORT."""
        return str(self.values["device"])

    @property
    def engine(self) -> str:
        """What ran the model, with its version."""
        return str(self.values["engine"])

    @property
    def storage(self) -> dict[str, Any]:
        """model_bytes and weight_bytes."""
        return dict(self.values["storage"])

    @property
    def activation(self) -> dict[str, Any]:
        """Memory of activations in bytes: largest_tensor_bytes, peak_bytes and others."""
        return dict(self.values["activation"])

    @property
    def latency_ms(self) -> dict[str, Any] | None:
        """median, p95, n and others; None on emulated devices, which have no time."""
        return self._part("latency_ms")

    @property
    def emulated(self) -> dict[str, Any] | None:
        """instructions, arena_bytes and others; None on real devices."""
        return self._part("emulated")

    @property
    def conditions(self) -> dict[str, Any]:
        """Under which it was taken."""
        return dict(self.values["conditions"])

    @property
    def _title(self) -> str:
        return f"{at(self.values, 'model.name') or 'model'} on {self.device}, {self.engine}"

    @property
    def _columns(self) -> Sequence[str]:
        return ("figure", "value", "unit", "how")

    def _rows(self) -> Rows:
        return measured_rows(self.values)


class Evaluation(Answer):
    """How well a student matches its teacher, and a head on its embeddings does a task.

    Examples
    --------
    >>> evaluation = edgesea.evaluate("run")
    >>> evaluation.fidelity["on"]
    'held-out recordings'
    >>> evaluation.task["metric"]
    'accuracy'
    """

    @property
    def data(self) -> dict[str, Any]:
        """name, fingerprint, clips, frames of what it was evaluated on."""
        return dict(self.values["data"])

    @property
    def fidelity(self) -> dict[str, Any] | None:
        """float, int8, on, parts; None for a bundle whose run is gone."""
        return self._part("fidelity")

    @property
    def task(self) -> dict[str, Any] | None:
        """metric, teacher, float, int8, compared, intervals and others; None where there is no task."""
        return self._part("task")

    @property
    def _title(self) -> str:
        return f"Evaluation of {self.values['target']} on {self.data['name']}"

    @property
    def _columns(self) -> Sequence[str]:
        return ("figure", "float", "int8", "teacher")

    def _rows(self) -> Rows:
        rows: Rows = []
        for part in (self.fidelity or {}).get("parts", ()):
            for key, figure in FIDELITY.items():
                values = [text(at(part, f"{kind}.{key}")) for kind in ("float", "int8")]
                rows.append((f"{figure}, {part['part']}", *values, ""))
        if self.task:
            models = ("float", "int8", "teacher")
            rows.append((f"head's {self.task['metric']}", *(text(self.task[model]) for model in models)))
        return rows


class Fit(Answer):
    """Which boards hold a bundle's model.

    Examples
    --------
    >>> fit = edgesea.fit("bundle")
    >>> [each["fits"] for each in fit.boards if each["board"] == "nano33ble"]
    ['yes']
    """

    @property
    def engine(self) -> str:
        """What would run the model: "C model" or "TensorFlow Lite Micro"."""
        return str(self.values["engine"])

    @property
    def boards(self) -> list[dict[str, Any]]:
        """A board each, those that hold the model first: board, fits, flash, ram, estimate and others."""
        return list(self.values["boards"])

    @property
    def basis(self) -> list[str]:
        """Sentences: what the figures rest on."""
        return list(self.values["basis"])

    @property
    def _title(self) -> str:
        return f"Boards for {self.values['name']}, {self.engine}"

    @property
    def _columns(self) -> Sequence[str]:
        return ("board", "fits", "bytes of flash left", "bytes of RAM left")

    def _rows(self) -> Rows:
        return [
            (each["board"], each["fits"], text(each["flash"]["margin"]), text(each["ram"]["margin"]))
            for each in self.boards
        ]


def measured_rows(measurement: dict[str, Any]) -> Rows:
    """(label, value, unit, how) of every figure that a measurement has."""
    found = ((place, figure, at(measurement, place)) for place, figure in MEASURED.items())
    return [
        (figure.label, text(value), figure.unit, how(measurement, place))
        for place, figure, value in found
        if value is not None
    ]
