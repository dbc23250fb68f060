"""Named things, most with options: objectives, students, reducers, samplers, teachers, devices.

A *choice* is a name and the options given with it. It is written in one way on the command line,

    --reducer umap:neighbours=100,min_dist=0.1

and in one way in a configuration, as a text where there are no options and else as a table:

    [reducer]
    name = "umap"
    neighbours = 100

A *registry* knows which names there are, which options each takes, with which defaults, and where it lives;
what it holds is imported when it is asked for. Packages of users add names by entry points of the group that
the registry is made with, such as `edgesea.objectives`.
"""

import dataclasses
import difflib
import functools
import json
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from importlib import import_module, metadata

from edgesea.errors import UsageError, received

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

_LONGEST = 10_000  # characters of a choice


@dataclasses.dataclass(frozen=True)
class Choice:
    """A name, and options as (name, value) in the order of their names; values are those of TOML."""

    name: str
    options: tuple[tuple[str, object], ...] = ()

    @classmethod
    def of(cls, value: "str | Mapping | Choice", kind: str) -> "Choice":
        """Reads a choice from a command line, from a table, or from one that is one already.

        Raises
        ------
        UsageError
            What is given is no choice; the sentence says how one is written.
        """
        if isinstance(value, Choice):
            return value
        if isinstance(value, str):
            return cls._parse(value, kind)
        if isinstance(value, Mapping):
            values = dict(value)
            name = values.pop("name", None)
            if isinstance(name, str):
                return cls(name, _ordered(values))
        raise UsageError(f'Received {kind} = {received(value)}: give a name, or a table with a key "name".')

    @classmethod
    def _parse(cls, text: str, kind: str) -> "Choice":
        name, colon, rest = text.partition(":")
        if not colon:
            return cls(name)
        try:
            if len(text) > _LONGEST:
                raise ValueError("too long")
            # What stands behind the colon is an inline table of TOML, where plain words count as texts.
            values = tomllib.loads("options = {" + rest + "}")["options"]
        except (ValueError, RecursionError):
            values = _plain(rest)
        if not values:
            raise UsageError(
                f"Received {kind} {received(text)}: write options as "
                f"{name[:100]}:option=value,option=value, each once."
            )
        return cls(name, _ordered(values))

    def __str__(self) -> str:
        """As it is written on a command line."""
        return self.name + ":" * bool(self.options) + ",".join(f"{k}={_written(v)}" for k, v in self.options)

    def to_toml(self) -> str | dict:
        """The text or table of a configuration."""
        return {"name": self.name, **{k: _listed(v) for k, v in self.options}} if self.options else self.name


class Registry:
    """The things of one kind, by name.

    Parameters
    ----------
    kind : str
        What they are called, also on the command line: ``objective``.
    entries : mapping of str to str
        Name to ``module:attribute``, or to a module where a thing is one. The attribute is a frozen dataclass
        whose fields are the options, an instance of one (a preset, whose options can be changed), or a class
        with such a dataclass as its attribute ``Options``.
    group : str
        The group of entry points by which other packages add names.
    """

    def __init__(self, kind: str, entries: Mapping[str, str], group: str):
        self.kind, self.entries, self.group = kind, dict(entries), group

    def __iter__(self) -> Iterator[str]:
        """The names that edgesea brings, then those of other packages."""
        return iter([*self.entries, *sorted(self._others().keys() - self.entries.keys())])

    def get(self, name: str) -> typing.Any:
        """What is registered under a name.

        Raises
        ------
        UsageError
            There is no such name; the sentence lists those there are, the likeliest first.
        """
        if name in self.entries:
            module, _, attribute = self.entries[name].partition(":")
            found = import_module(module)
            return getattr(found, attribute) if attribute else found
        if point := self._others().get(name):
            try:
                return point.load()
            except Exception as error:  # Another package's code may raise anything.
                raise UsageError(
                    f"The {self.kind} {name} of the package {point.dist.name if point.dist else point.value} "
                    f"cannot be loaded ({type(error).__name__}: {error}): see to that package."
                ) from error
        names = list(self)
        close = difflib.get_close_matches(name[:100], names, n=1)
        meant = f"did you mean {close[0]}? Choose" if close else "choose"
        raise UsageError(f"Unknown {self.kind} {received(name)}: {meant} one of {', '.join(names)}.")

    def every(self, faults: list) -> Iterator:
        """Loads one after the other, those of other packages first: what users installed is the particular.

        Parameters
        ----------
        faults : list of UsageError
            Receives what is wrong with those that cannot be loaded, which are left out.
        """
        for name in (*sorted(self._others().keys() - self.entries.keys()), *self.entries):
            try:
                found = self.get(name)
            except UsageError as error:
                faults.append(error)
            else:
                yield found

    def options(self, choice: Choice) -> typing.Any:
        """The options of a choice, each checked, as the frozen value that they belong to.

        Raises
        ------
        UsageError
            The name or an option is unknown, or a value is of another type or out of its range.
        """
        thing = self.get(choice.name)
        thing = getattr(thing, "Options", thing)
        hints = typing.get_type_hints(thing if isinstance(thing, type) else type(thing))
        known = [field.name for field in dataclasses.fields(thing) if field.init]
        values = {}
        for name, value in choice.options:
            if name not in known:
                close = difflib.get_close_matches(name[:100], known, n=1)
                meant = f"did you mean {close[0]}? " if close else ""
                has = f"it has {', '.join(known)}" if known else "it has none"
                raise UsageError(
                    f"The {self.kind} {choice.name} has no option {received(name)}: {meant}{has}."
                )
            values[name] = self._typed(choice.name, name, value, hints[name])
        return thing(**values) if isinstance(thing, type) else dataclasses.replace(thing, **values)

    def resolved(self, choice: Choice) -> Choice:
        """The same choice with every option spelt out; of a preset, only those that were changed."""
        thing, value = self.get(choice.name), self.options(choice)
        thing = getattr(thing, "Options", thing)
        fields = [field.name for field in dataclasses.fields(value) if field.init]
        found = {name: getattr(value, name) for name in fields}
        if not isinstance(thing, type):
            found = {name: held for name, held in found.items() if held != getattr(thing, name)}
        return Choice(choice.name, _ordered({name: held for name, held in found.items() if held is not None}))

    def _typed(self, thing: str, option: str, value: typing.Any, hint: typing.Any) -> typing.Any:
        wanted = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        for kind in wanted:
            origin = typing.get_origin(kind) or kind
            if origin is tuple and isinstance(value, list | tuple):
                return _frozen(value)
            if origin is float and isinstance(value, int) and not isinstance(value, bool):
                return float(value)
            if isinstance(value, origin) and not (isinstance(value, bool) and origin is not bool):
                return value
        names = {
            bool: "true or false",
            int: "a whole number",
            float: "a number",
            str: "a text",
            tuple: "a list",
        }
        said = next(
            (names[k] for k in (typing.get_origin(k) or k for k in wanted) if k in names), "another value"
        )
        raise UsageError(f"Received {option} = {received(value)} for the {self.kind} {thing}: give {said}.")

    def _others(self) -> dict:
        return {each.name: each for each in _installed(self.group, tuple(sys.path))}


@functools.cache
def _installed(group: str, path: tuple[str, ...]) -> tuple:
    """The entry points of a group: a file of every installed package is read for them, so but once."""
    return tuple(metadata.entry_points(group=group))


def _plain(text: str) -> dict:
    """option=value,option=value with values that are words, numbers or true and false."""
    values = {}
    for part in text.split(","):
        name, equals, value = (each.strip() for each in part.partition("="))
        if not (equals and name and value) or name in values:
            return {}
        try:
            values[name] = tomllib.loads(f"value = {value}")["value"]
        except (ValueError, RecursionError):
            values[name] = value
    return values


def _ordered(values: Mapping) -> tuple:
    return tuple(sorted((name, _frozen(value)) for name, value in values.items()))


def _frozen(value: typing.Any) -> typing.Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _listed(value: typing.Any) -> typing.Any:
    return [_listed(each) for each in value] if isinstance(value, tuple) else value


def _written(value: typing.Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ",".join(map(_written, value)) + "]"
    # Of JSON's texts every one is a text of TOML too.
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
