"""CSL styles: the bundled ones by name, and any `.csl` file by path.

Source: https://docs.citationstyles.org/en/stable/specification.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import SettingsError
from rag.files import explain_os_error

if TYPE_CHECKING:
    from lxml.etree import _Element

# Name -> file and the locale that it is meant for, or None if the style names one or is American.
_BUNDLED: dict[str, tuple[str, str | None]] = {
    "apa": ("apa", None),
    "vancouver": ("nlm-citation-sequence", None),
    "chicago-author-date": ("chicago-author-date", None),
    "ieee": ("ieee", None),
    "nature": ("nature", None),
    "harvard": ("harvard-cite-them-right", "en-GB"),
}
STYLE_NAMES: tuple[str, ...] = tuple(_BUNDLED)
_FOLDER = Path(__file__).parent.parent / "data" / "styles"
_MOST_BYTES = 2_000_000  # the largest of the 2,851 official styles has 0.2 MB
_MOST_CALLS = 3_000_000  # of macros, when all are followed; official styles have up to 0.3 million
_CSL = "{http://purl.org/net/xbiblio/csl}"


@dataclass(frozen=True, slots=True)
class CslStyle:
    """One style, ready to use. See `load_style`.

    Attributes:
        title: as the style calls itself.
        is_numeric: whether it cites by numbers.
        locale: language and country of its terms, or None for the style's own default.
        xml: content of its file.
    """

    title: str
    is_numeric: bool
    locale: str | None
    xml: bytes = field(repr=False)


def load_style(name: str | Path) -> CslStyle:
    """Return the style of a name in `STYLE_NAMES`, in any case, or of a `.csl` file.

    Raises:
        SettingsError: there is no such style, or its file is no usable one.
    """
    if str(name).lower() in _BUNDLED:
        return _load_bundled_style(str(name).lower())
    path = Path(name)
    if path.suffix.lower() != ".csl" and not path.is_file():
        raise SettingsError(
            f"There is no citation style {str(name)!r}. "
            f"Choose {', '.join(STYLE_NAMES)} or give the path of a .csl file."
        )
    return _read_style(path, None)


@lru_cache
def _load_bundled_style(name: str) -> CslStyle:
    file, locale = _BUNDLED[name]
    return _read_style(_FOLDER / f"{file}.csl", locale)


def _read_style(path: Path, locale: str | None) -> CslStyle:
    try:
        with path.open("rb") as file:
            xml = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"Cannot read the citation style {path} ({explain_os_error(error)}). "
            "Give the path of a .csl file."
        ) from error
    if len(xml) > _MOST_BYTES:
        raise SettingsError(f"{path} is too large for a citation style. Choose another file.")
    style = _parse(path, xml)
    _check(path, style)
    title = style.findtext(f"{_CSL}info/{_CSL}title") or path.stem
    is_numeric = style.find(f"{_CSL}citation//*[@variable='citation-number']") is not None
    return CslStyle(" ".join(title.split()), is_numeric, locale, xml)


def _parse(path: Path, xml: bytes) -> _Element:
    """Parse a style without reading or expanding anything outside of it."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        style = etree.fromstring(xml, parser)
    except etree.XMLSyntaxError as error:
        raise SettingsError(
            f"{path} is no CSL style ({error.msg}). Choose another file."
        ) from error
    if style.tag != f"{_CSL}style" or style.getroottree().docinfo.doctype:
        raise SettingsError(f"{path} is no CSL style. Choose another file.")
    return style


def _check(path: Path, style: _Element) -> None:
    """Refuse a style that cannot be used here."""
    parent = style.find(f"{_CSL}info/{_CSL}link[@rel='independent-parent']")
    if parent is not None and style.find(f"{_CSL}citation") is None:
        raise SettingsError(
            f"{path} only refers to another style. Give the file of {parent.get('href')} instead."
        )
    if style.get("class") == "note":
        raise SettingsError(
            f"{path} cites in footnotes, which is not supported. "
            "Choose a style that cites by author or number."
        )
    if style.find(f"{_CSL}bibliography") is None:
        raise SettingsError(f"{path} has no reference list. Choose another style.")
    if fault := _find_fault(style):
        raise SettingsError(f"{path} is no valid CSL style ({fault}). Choose another file.")


def _find_fault(style: _Element) -> str:
    """Return why the style breaks the schema of CSL or the rules for its macros, else ""."""
    from citeproc import SCHEMA_PATH
    from lxml import etree

    schema = etree.RelaxNG(etree.parse(SCHEMA_PATH))
    if not schema.validate(style):
        return str(schema.error_log[0].message)
    macros = {
        macro.get("name"): list(macro.xpath(".//@macro")) for macro in style.iter(f"{_CSL}macro")
    }
    if missing := set(style.xpath("//@macro")) - macros.keys():
        return f"there is no macro {min(missing)}"
    try:
        order = [*TopologicalSorter(macros).static_order()]
    except CycleError as error:
        return f"its macros call each other: {', '.join(error.args[1])}"
    calls: dict[str, int] = {}
    for name in order:
        calls[name] = 1 + sum(calls[each] for each in macros[name])
    return "its macros call each other too often" if sum(calls.values()) > _MOST_CALLS else ""
