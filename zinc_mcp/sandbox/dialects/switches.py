"""Switches of a practice Zinc: open questions with their possible answers, and their form as one line of text."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, Self, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True)
class Switches:
    """Each field that is a `Literal` is an open question. Its first value is the default."""

    prefix: ClassVar[str] = ""
    """The prefix of each field's name in a text."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `listing=lags,keys=ignored`; an empty text is the default.

        Raises:
            ValueError: for an unknown field or value; the text names it and those that exist.
        """
        chosen: dict[str, Any] = {}
        choices = cls.choices()
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = (side.strip() for side in part.partition("="))
            if name not in choices:
                raise ValueError(f"no such dialect field: {name!r}; there are {', '.join(choices)}")
            if value not in choices[name]:
                raise ValueError(f"{name} cannot be {value!r}; it is one of {', '.join(choices[name])}")
            chosen[name.removeprefix(cls.prefix)] = value
        return replace(cls(), **chosen)

    @classmethod
    def choices(cls) -> dict[str, tuple[str, ...]]:
        """Return every field as it is spelt, with its values, the default first."""
        hints = get_type_hints(cls)
        asked = [field.name for field in fields(cls) if get_origin(hints[field.name]) is Literal]
        return {f"{cls.prefix}{name}": get_args(hints[name]) for name in asked}

    @classmethod
    def named(cls) -> Mapping[str, Self]:
        """Return the switches for a fault campaign: `default`, and each single departure as `parse` spells it."""
        departures = [f"{name}={value}" for name, values in cls.choices().items() for value in values[1:]]
        return {"default": cls(), **{text: cls.parse(text) for text in departures}}

    def departures(self) -> list[str]:
        """Return each departure from the default as `parse` reads it."""
        chosen = [
            (name, getattr(self, name.removeprefix(self.prefix)), values[0]) for name, values in self.choices().items()
        ]
        return [f"{name}={value}" for name, value, usual in chosen if value != usual]

    def __str__(self) -> str:
        """Spell the departures from the default; `default` when there are none."""
        return ",".join(self.departures()) or "default"
