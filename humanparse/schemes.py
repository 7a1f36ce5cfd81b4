"""Label schemes: names, groups, left/right pairs and palettes of each data set, and remaps between them.

The tables in `schemes.json` describe LIP, CIHP, ATR, Pascal-Person-Part, MHPv2, FASHN, Fashionpedia,
CelebAMask-HQ (`face`), Goliath (Sapiens2's 29 labels), DensePose, VOC, ADE20K and Cityscapes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from .errors import SchemeError
from .palettes import Rgb as Rgb
from .palettes import display_palette, folded, tables, things
from .palettes import voc_palette as voc_palette
from .sides import pairs_by_name

IGNORE = 255
"""Label of pixels without a statement; every remap keeps it."""


@dataclass(frozen=True)
class LabelScheme:
    """What the numbers in a label map mean.

    Attributes:
        key: short name of the scheme, such as `"lip"`.
        names: one name per label; the position is the label's number.
        aliases: other spellings of each label, from the original code; may be empty.
        flip_pairs: labels that swap when the picture is mirrored.
        palettes: name of a palette -> one RGB triple (0-255) per label; without PASCAL-VOC's and the display
            colours.
        groups: name of a group, such as `clothes`, `skin` or `head` -> its labels. A word that is also the
            name of a label means that label alone.

    Examples:
        >>> from humanparse import get_scheme
        >>> scheme = get_scheme("atr")
        >>> scheme.index("Hair"), [scheme.name(label) for label in scheme.members("arms")]
        (2, ['Left-arm', 'Right-arm'])
    """

    key: str
    names: tuple[str, ...]
    aliases: tuple[tuple[str, ...], ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] = ()
    palettes: tuple[tuple[str, tuple[Rgb, ...]], ...] = ()
    groups: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"LabelScheme({self.key!r}, {len(self)} labels)"

    @property
    def background(self) -> int | None:
        """The label of the background, or None in schemes without one."""
        first = (self.names[0], *(self.aliases[0] if self.aliases else ()))
        return 0 if "background" in map(folded, first) else None

    def index(self, label: str | int) -> int:
        """The number of a label.

        Args:
            label: its name (in any case; `_` and space count as `-`), alias or number.

        Raises:
            SchemeError: no such label; the message lists the nearest names, all labels and all groups.
        """
        if not isinstance(label, str):
            if 0 <= int(label) < len(self):
                return int(label)
            raise SchemeError(f"{self.key} has labels 0 to {len(self) - 1}, not {label}")
        number = self._numbers().get(folded(label))
        if number is not None:
            return number
        if self._together(label):
            raise SchemeError(f"{self.key}: {label!r} is several labels; name one of {', '.join(self.names)}")
        raise self._unknown(label)

    def members(self, *words: str | int) -> tuple[int, ...]:
        """The numbers of all labels that the words mean, in ascending order.

        Args:
            words: labels by name, alias or number, as for `index`; groups such as `"clothes"`; or both sides
                of a part, such as `"arms"`, or `"shoe"` for `Left-shoe` and `Right-shoe`. A word that names
                both a label and a group means the label.

        Raises:
            SchemeError: a word is unknown; the message lists all labels and all groups.
        """
        found: set[int] = set()
        for word in words:
            alone = self._numbers().get(folded(word)) if isinstance(word, str) else self.index(word)
            together = (alone,) if alone is not None else self._together(str(word))
            if not together:
                raise self._unknown(str(word))
            found.update(together)
        return tuple(sorted(found))

    def _together(self, word: str) -> tuple[int, ...]:
        """Labels of a group, or of both sides of a part in singular or plural; empty if there are none."""
        wanted = folded(word)
        for name, labels in self.groups:
            if name == wanted:
                return labels
        numbers = self._numbers()
        for stem in (wanted, wanted.removesuffix("s")):
            sides = (numbers.get(f"{side}{joint}{stem}") for side in ("left", "right") for joint in ("-", ""))
            both = tuple(label for label in sides if label is not None)
            if both:
                return both
        return ()

    def _unknown(self, word: str) -> SchemeError:
        groups = [name for name, _ in self.groups]
        names = [*map(folded, self.names), *groups]
        near = difflib.get_close_matches(folded(word), list(dict.fromkeys(names)), n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        listed = f"\nLabels: {', '.join(self.names)}" + (f"\nGroups: {', '.join(groups)}" if groups else "")
        return SchemeError(f"{self.key} has no label {word!r}{hint}{listed}")

    def name(self, label: int) -> str:
        """Name of a label number; 255 is `Ignore`."""
        return "Ignore" if label == IGNORE else self.names[self.index(label)]

    def flip_order(self) -> tuple[int, ...]:
        """Channel order that exchanges left and right: `flipped[i] = original[flip_order[i]]`."""
        order = list(range(len(self)))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return tuple(order)

    def palette(self, name: str = "voc") -> tuple[Rgb, ...]:
        """256 RGB triples (0-255); entries beyond the palette are PASCAL-VOC's.

        Args:
            name: `"voc"`, the palette of label PNGs; `"display"`, bright and distinct, with the same colour
                for the same thing in every scheme; or one of `palettes`.

        Raises:
            SchemeError: no such palette; the message lists them.
        """
        voc, known = voc_palette(), dict(self.palettes)
        if name == "voc":
            return voc
        if name == "display":
            colours = display_palette(self.names)
        elif name in known:
            colours = known[name]
        else:
            offered = ", ".join(["voc", "display", *known])
            raise SchemeError(f"{self.key} has no palette {name!r}; known: {offered}")
        return colours + voc[len(colours) :]

    def things(self) -> tuple[str, ...]:
        """What each label shows, in words that all schemes share, such as `hair`, `left arm` or `torso skin`.

        Two schemes may define a word differently. So these words only choose colours and recipes; use `remap`
        to convert labels. The word is "" for unknown labels.
        """
        return things(self.names)

    def _numbers(self) -> dict[str, int]:
        return _numbers(self.names, self.aliases)


@lru_cache(maxsize=64)
def _numbers(names: tuple[str, ...], aliases: tuple[tuple[str, ...], ...]) -> dict[str, int]:
    """Folded spelling -> label; the lower label wins."""
    found: dict[str, int] = {}
    for number, (name, others) in enumerate(zip(names, aliases or ((),) * len(names), strict=True)):
        for spelling in (name, *others):
            found.setdefault(folded(spelling), number)
    return found


@dataclass(frozen=True)
class Remap:
    """A table from the labels of one scheme to those of another.

    Attributes:
        target: the scheme of the result.
        table: target label of each source label; None if the number alone does not decide it.
        inexact: source labels that are only mapped if the caller accepts an approximation.
        touching: source label -> target labels; each connected blob takes the one that it touches most (255
            if it touches none).
        note: what the approximation does, in words.
    """

    target: LabelScheme
    table: tuple[int | None, ...]
    inexact: frozenset[int] = frozenset()
    touching: tuple[tuple[int, tuple[int, ...]], ...] = ()
    note: str = ""


def scheme_names() -> list[str]:
    """Keys of all label schemes."""
    return list(tables()["schemes"])


@cache
def get_scheme(key: str) -> LabelScheme:
    """The label scheme of that key (in any case).

    Raises:
        SchemeError: no such scheme; the message lists all.

    Examples:
        >>> from humanparse import get_scheme
        >>> get_scheme("LIP").names[:3]
        ('Background', 'Hat', 'Hair')
    """
    record = tables()["schemes"].get(key.lower())
    if record is None:
        raise SchemeError(f"no label scheme {key!r}; known: {', '.join(scheme_names())}")
    names = tuple(record["names"])
    return LabelScheme(
        key=key.lower(),
        names=names,
        aliases=_aliases(names, record.get("aliases", ())),
        flip_pairs=tuple((left, right) for left, right in record["flip_pairs"]),
        palettes=tuple(
            (name, tuple((r, g, b) for r, g, b in colours))
            for name, colours in record.get("palettes", {}).items()
        ),
        groups=tuple(
            (group, tuple(names.index(name) for name in members))
            for group, members in record.get("groups", {}).items()
        ),
    )


def _aliases(
    names: tuple[str, ...], given: list[str] | Mapping[str, Iterable[str]]
) -> tuple[tuple[str, ...], ...]:
    """Aliases of each label, from a list (one for each label) or from a mapping (name -> aliases)."""
    if isinstance(given, Mapping):
        return tuple(tuple(given.get(name, ())) for name in names)
    return tuple((alias,) for alias in given)


def remap_targets(source: LabelScheme | None = None) -> list[str]:
    """Keys of the schemes that labels of `source` can be remapped to; without it, those of any scheme."""
    pairs = [key.split("->") for key in tables()["remaps"]]
    reached = {target for start, target in pairs if source is None or start == source.key}
    return [key for key in scheme_names() if key in reached]


def find_remap(source: LabelScheme, target: str | Mapping[str | int, str | int]) -> Remap:
    """The remap from `source` to another scheme.

    Args:
        source: the scheme of the label map.
        target: key of a scheme (one of `remap_targets(source)`), or a mapping from labels of `source` (names
            or numbers) to new names (numbered in order of appearance, `Background` first) or to new numbers
            0-254. Background goes to 0 unless the mapping says otherwise.

    Raises:
        SchemeError: there is no table from `source` to this scheme, or the mapping cannot be used.
    """
    if not isinstance(target, str):
        return _custom_remap(source, target)
    key = target.lower()
    if key == source.key:
        return Remap(source, tuple(range(len(source))))
    record = tables()["remaps"].get(f"{source.key}->{key}")
    if record is None:
        targets = remap_targets(source)
        raise SchemeError(
            f"no table converts {source.key} to {target!r}; known targets: {', '.join(targets) or 'none'}. "
            f"Pass a mapping of your own, such as {{{source.names[1]!r}: 'Head'}}.\n"
            f"{source.key}: {', '.join(source.names)}"
        )
    scheme = get_scheme(key)
    table: list[int | None] = [None] * len(source)
    for part in ("exact", "approximate"):
        for name, labels in record.get(part, {}).items():
            for label in labels:
                table[source.index(label)] = scheme.index(name)
    touching = tuple(
        (source.index(label), tuple(scheme.index(name) for name in names))
        for label, names in record.get("touching", {}).items()
    )
    inexact = {source.index(label) for labels in record.get("approximate", {}).values() for label in labels}
    inexact.update(label for label, _ in touching)
    return Remap(scheme, tuple(table), frozenset(inexact), touching, record.get("note", ""))


def _custom_remap(source: LabelScheme, mapping: Mapping[str | int, str | int]) -> Remap:
    pairs: dict[int, str | int] = {}
    for label, goal in mapping.items():
        number = source.index(label)
        if pairs.setdefault(number, goal) != goal:
            raise SchemeError(
                f"{label!r} is {source.key}'s label {number}, {source.names[number]}, which the mapping "
                f"already maps to {pairs[number]!r}; name it once"
            )
    if source.background == 0 and pairs:
        pairs.setdefault(0, "Background" if all(isinstance(goal, str) for goal in pairs.values()) else 0)
    named = [goal for goal in pairs.values() if isinstance(goal, str)]
    numbers = [goal for goal in pairs.values() if isinstance(goal, int) and 0 <= goal < IGNORE]
    if named and len(named) == len(pairs):
        first = ["Background"] if "Background" in named else []
        names = tuple(dict.fromkeys(first + named))
        goals = [names.index(name) for name in named]
    elif numbers and len(numbers) == len(pairs):
        members: list[list[str]] = [[] for _ in range(max(numbers) + 1)]
        for label, number in zip(pairs, numbers, strict=True):
            members[number].append(source.names[label])
        names = tuple("+".join(group) or f"Unused {number}" for number, group in enumerate(members))
        goals = numbers
    else:
        raise SchemeError("a mapping needs targets that are all names, or all numbers from 0 to 254")
    table: list[int | None] = [None] * len(source)
    for label, goal in zip(pairs, goals, strict=True):
        table[label] = goal
    return Remap(LabelScheme("custom", names, flip_pairs=pairs_by_name(names)), tuple(table))


def scheme_of(names: tuple[str, ...], key: str) -> LabelScheme:
    """The scheme of a model that brings its own labels.

    It is a known scheme if that has exactly these labels, by names or aliases, in this order; otherwise a new
    one, with left/right pairs by name. `-labels` is added to its key if a known scheme has this key.
    """
    for known in map(get_scheme, scheme_names()):
        if len(known) == len(names) and [known._numbers().get(folded(name)) for name in names] == [
            *range(len(names))
        ]:
            return known
    key = f"{key}-labels" if key in scheme_names() or not key else key
    return LabelScheme(key, names, flip_pairs=pairs_by_name(names))
