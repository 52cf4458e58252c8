"""citeproc-py 0.11, with what it leaves out of CSL.

Each class here replaces an element of citeproc-py, and says which gap it closes. Formatting is
written as control characters, which no text of a paper has, so that nothing in it is markup.

Import this module inside functions only: citeproc-py takes long to import.
"""

from __future__ import annotations

import re
import unicodedata
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from citeproc import model, source
from citeproc.frontend import CitationStylesBibliography
from citeproc.source import Citation
from citeproc.source.json import CiteProcJSON
from citeproc.string import MixedString, String, join
from lxml import etree

from rag.csl.runs import CLOSE_QUOTE, END, STARTS
from rag.exporters.values import collapse_space
from rag.papers import ET_AL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_INITIALS, _AFTER_HYPHEN = re.compile(r"\b[A-Z]{2,3}\b"), re.compile(r"(?<=-)\w")
_WORD, _FIRST = re.compile(r"[^\s–—/-]+"), re.compile(r"^\W*[a-zà-ÿ]")
_CSL = "http://purl.org/net/xbiblio/csl"


def _format(kind: str, text: object) -> str:
    return f"{STARTS[kind]}{text}{END}"


FORMATTER = SimpleNamespace(  # under citeproc-py's names
    preformat=str,
    Italic=partial(_format, "italic"),
    Oblique=partial(_format, "italic"),
    Bold=partial(_format, "bold"),
    Superscript=partial(_format, "superscript"),
    SmallCaps=partial(_format, "small_caps"),
    Light=str,
    Underline=str,
    Subscript=str,
)


class _Words(String):
    """Text of a paper. "arXiv" keeps its small letter where a style capitalises."""

    def capitalize_first(self) -> String:
        first = self.split(" ", 1)[0]
        return super().capitalize_first() if first.islower() else self


class _Items(CiteProcJSON):
    """Items by key. citeproc-py takes "<span class="nocase">" in a title for markup."""

    def parse_string(self, string: object) -> MixedString:
        """Return the text of a field."""
        return MixedString([_Words(collapse_space(str(string)))])


class NameForm(NamedTuple):
    """Names in a citation beyond those that the style shows anyway, to tell papers apart.

    Attributes:
        shown: number of names, if it is more than the style shows.
        has_given: whether the first one has the given name, or its initials.
    """

    shown: int = 0
    has_given: bool = False


class _Cite(source.CitationItem):
    """One paper in a citation or in the list. Attributes are kept as items of the dictionary."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self["called"] = self["rendered"] = 0  # variables, of them those with a value
        self["shown"] = []  # tags and variables of these
        self["is_bare"] = False  # without names
        self["has_letter"] = False  # after a year
        self["names"] = NameForm()

    def count(self, element: Any, text: Any) -> None:
        """Count one variable, or a group of them, and its text."""
        self["called"] += 1
        if text:
            self["rendered"] += 1
            self["shown"] += [(element.tag, name) for name in element.get("variable", "").split()]

    @property
    def number(self) -> int:
        """Shown number, unless the style sorts its list and so numbers the papers anew."""
        if self.bibliography.style.is_sorted:
            return int(self.bibliography.keys.index(self.key)) + 1
        return int(self.key)


class Document:
    """Papers of one document in one style. Texts hold control characters; see `rag.csl.runs`."""

    def __init__(self, xml: bytes, locale: str | None, items: Sequence[dict[str, Any]]) -> None:
        """Sort the items, of CSL-JSON, as the style says."""
        self.style = _parse_style(xml, locale)
        self.root = self.style  # under citeproc-py's name
        self.source = _Items(items)
        self.is_sorted = self.style.bibliography.find("cs:sort", self.style.nsmap) is not None
        self.name_forms: dict[str, NameForm] = {}
        self._list = CitationStylesBibliography(self, self.source, FORMATTER)
        self._list.register(Citation([_Cite(item["id"]) for item in items]))
        self._list.sort()

    @property
    def keys(self) -> list[str]:
        """Ids of the items, in the order of the list."""
        return list(self._list.keys)

    def get_option(self, name: str) -> str:
        """Return an option of the style's citations, or ""."""
        return str(self.style.citation.get(name, ""))

    @property
    def has_punctuation_inside(self) -> bool:
        """Whether a comma or full stop precedes a closing quotation mark."""
        return bool(self.style.get_locale_option("punctuation-in-quote") == "true")

    def set_field(self, key: str, name: str, text: str) -> None:
        """Change a field of an item. The order stays."""
        self.source[key][name] = self.source.parse_string(text)

    def set_names(self, keys: Iterable[str], form: NameForm) -> None:
        """Choose the names in citations of some items."""
        self.name_forms |= dict.fromkeys(keys, form)

    def cite(self, keys: Sequence[str]) -> str:
        """Return one citation of some items, or "" of none."""
        if not keys:
            return ""
        citation = Citation([_Cite(key) for key in keys])
        citation.bibliography = self._list
        return str(self.style.citation.render(citation, [], None) or "")

    def list_references(self) -> Iterator[tuple[str, str, str]]:
        """Yield id, label and text of each entry."""
        for cite in self._list.items:
            yield cite.key, *self.style.bibliography.layout.render_reference(cite)

    def sort_bibliography(self, cites: list[_Cite]) -> list[_Cite]:
        """Return the papers in the order of the list. citeproc-py calls it."""
        return list(self.style.bibliography.sort(cites)) if cites else []


def _parse_style(xml: bytes, locale: str | None) -> model.Style:
    """Return a style made of the classes below."""
    lookup = etree.ElementNamespaceClassLookup()
    namespace = lookup.get_namespace(_CSL)
    namespace[None] = model.CitationStylesElement
    for kind in model.CitationStylesElement.__subclasses__():
        namespace[kind.__name__.replace("_", "-").lower()] = _REPLACED.get(kind, kind)
    parser = etree.XMLParser(
        remove_comments=True, remove_pis=True, resolve_entities=False, no_network=True
    )
    parser.set_element_class_lookup(lookup)
    style: model.Style = etree.fromstring(xml, parser)
    style.formatter = FORMATTER
    style.set_locale_list(locale or style.get("default-locale", "en-US"), validate=False)
    _copy_date_delimiters(style)
    for last_resort in style.findall(".//*[@disambiguate='true']"):  # taken always by citeproc-py
        last_resort.getparent().remove(last_resort)
    for names in style.iter(f"{{{_CSL}}}names"):  # citeproc-py adds names of its own class
        if names.name is None and not names.xpath_search("./ancestor::cs:substitute"):
            names.insert(0, style.makeelement(f"{{{_CSL}}}name"))
    for block in style.iterfind(".//*[@display]"):  # which citeproc-py joins without a space
        block.set("prefix", " " + block.get("prefix", "").lstrip())
    return style


def _copy_date_delimiters(style: model.Style) -> None:
    """Give each localised date the delimiter of its locale, which citeproc-py omits: "2019Mar"."""
    for date in style.iter(f"{{{_CSL}}}date"):
        if date.get("form") and not date.is_locale_date() and "delimiter" not in date.attrib:
            localised = date.get_date(date.get("form"))
            if localised is not None and localised.get("delimiter"):
                date.set("delimiter", localised.get("delimiter"))


class _Cased:
    """Element whose text can change its case.

    citeproc-py stops at numbers and affixes, and leaves words after hyphens and brackets in titles.
    """

    def case(self, text: Any, language: str | None = None) -> Any:
        if self.get("text-case") == "title" and language == "en":  # type: ignore[attr-defined]
            return _Words(_capitalise_title(str(text)))
        parts = text if isinstance(text, MixedString) else [text]
        words = [part if isinstance(part, String) else _Words(part) for part in parts]
        return super().case(MixedString(words), language)  # type: ignore[misc]


def _capitalise_title(title: str) -> str:
    """Capitalise the words of an English title that have no capitals, apart from short ones."""
    words = list(_WORD.finditer(title))

    def capitalise(found: re.Match[str]) -> str:
        word, before = found[0], title[: found.start()].rstrip()
        is_edge = found.start() in (words[0].start(), words[-1].start())
        is_short = word in model.TextCased._stop_words  # noqa: SLF001
        is_plain = is_short and not is_edge and before[-1] not in ".:?!"
        return word if is_plain or not word.islower() else _FIRST.sub(_raise_letter, word)

    return _WORD.sub(capitalise, title)


def _raise_letter(found: re.Match[str]) -> str:
    return found[0].upper()


class _Counted:
    """Element that shows a variable, and counts it for the group around it."""

    def process(self, item: _Cite, *args: Any, **kwargs: Any) -> Any:
        text = None
        try:
            text = super().process(item, *args, **kwargs)  # type: ignore[misc]
        finally:
            item.count(self, text)
        return text


class _Text(_Cased, model.Text):
    def _variable(self, item: _Cite, context: Any) -> Any:
        text = None
        if self.get("variable") == "year-suffix" and item["has_letter"]:
            return None
        try:
            text = super()._variable(item, context)
            text = _Words(text) if isinstance(text, int) else text  # a number of a citation
        finally:
            if self.get("variable") not in self.generated_variables:
                item.count(self, text)
        return text

    def quote(self, string: Any) -> Any:
        """Mark the closing quote, so that punctuation can move inside, and nest quotes."""
        if self.get("quotes", "false").lower() != "true":
            return string
        opening, closing, inner_opening, inner_closing = (
            str(self.get_single_term(name=name))
            for name in ("open-quote", "close-quote", "open-inner-quote", "close-inner-quote")
        )
        text = str(string).replace("“", inner_opening).replace("”", inner_closing)
        return String(f"{opening}{text}{CLOSE_QUOTE}{closing}")


class _Number(_Counted, _Cased, model.Number):
    pass


class _Date(_Counted, model.Date):
    """Date, with the letter after the first year unless the style has a place of its own for it."""

    def process(self, item: _Cite, *args: Any, **kwargs: Any) -> Any:
        text = super().process(item, *args, **kwargs)
        letter = item.reference.get("year_suffix")
        if not (text and letter and self.get("variable") == "issued" and not item["has_letter"]):
            return text
        if self.get_root().find(f".//{{{_CSL}}}text[@variable='year-suffix']") is not None:
            return text
        year = str(item.reference["issued"].get("year"))
        text, found = re.subn(
            rf"(?<!\d)({year}|{year[-2:]})(?!\d)", rf"\1{letter}", str(text), count=1
        )
        item["has_letter"] = bool(found)
        return _Words(text)


class _DatePart(_Cased, model.Date_Part):
    pass


class _Names(_Counted, model.Names):
    """Names of some roles.

    citeproc-py shows roles again that were shown in place of others. If a substitute is chosen by a
    condition, it also forgets the form of the names that it replaces.
    """

    def process(
        self, item: _Cite, names_context: Any = None, context: Any = None, **kwargs: Any
    ) -> Any:
        roles = self.get("variable")
        layout = (self if context is None else context).get_layout()
        left = [role for role in roles.split() if role not in layout.repressed.get(self.tag, ())]
        if item["is_bare"] or not left:
            raise source.VariableError
        if names_context is None and self.name is None:
            replaced = self.xpath_search("./ancestor::cs:substitute[1]/parent::cs:names")
            names_context = next(iter(replaced), None)
        self.set("variable", " ".join(left))
        try:
            return super().process(item, names_context, context, **kwargs)
        finally:
            self.set("variable", roles)


class _Substitute(model.Substitute):
    """Text in place of missing names, not shown again. citeproc-py forgets those of macros."""

    def render(self, item: _Cite, context: Any = None, **kwargs: Any) -> Any:
        start = len(item["shown"])
        text = super().render(item, context=context, **kwargs)
        for tag, variable in item["shown"][start:]:
            context.get_layout().repressed.setdefault(tag, []).append(variable)
        return text


class _NamePart(_Cased, model.Name_Part):
    """Part of a name. citeproc-py shows "None" for the missing one of a name in one piece."""

    def format_part(self, given: str | None, family: str | None) -> tuple[Any, Any]:
        is_missing = not (given if self.get("name") == "given" else family)
        return (given, family) if is_missing else super().format_part(given, family)

    def case(self, text: Any, language: str | None = None) -> str:
        return str(super().case(text, language))


class _Group(model.Group):
    """Empty if all its variables are. A group in it that is not empty counts as one of them.

    citeproc-py looks at the variables of conditions that are not met, too: "(Publication)" in APA.
    """

    def process(self, item: _Cite, context: Any = None, **kwargs: Any) -> Any:
        called, rendered = item["called"], item["rendered"]
        delimiter = self.get("delimiter", "")
        text = self.render_children(item, delimiter=delimiter, context=context, **kwargs)
        if text is None or (item["called"] > called and item["rendered"] == rendered):
            raise source.VariableError
        item.count(self, text)
        return text


class _Label(_Cased, model.Label):
    """Label of a variable with a value: citeproc-py shows any, and ignores title case ("Eds.")."""

    def process(self, item: _Cite, variable: str | None = None, *args: Any, **kwargs: Any) -> Any:
        if variable is None and self.get("variable").replace("-", "_") not in item.reference:
            raise source.VariableError
        return super().process(item, variable, *args, **kwargs)

    def case(self, text: Any, language: str | None = "en") -> Any:
        return super().case(text, language)


class _Name(model.Name):
    """Names in full if the style says initialize="false", "et al." if a source omits some.

    Citations have more names where that tells papers apart, which citeproc-py leaves out. It also
    makes "J.-. woo" of "Ji-woo" and "J." of "JR".
    """

    def initialize(self, given: str, mark: str, context: Any) -> str:
        place = self if context is None else context
        inherited = place.xpath("./ancestor-or-self::*/@initialize")
        if self.get("initialize", *inherited[-1:]) == "false":
            return given
        given = _INITIALS.sub(lambda found: " ".join(found[0]), given)
        given = _AFTER_HYPHEN.sub(_raise_letter, given)
        return str(super().initialize(given, mark, context))

    def process(
        self,
        item: _Cite,
        variable: str,
        context: Any = None,
        sort_options: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> Any:
        names = item.reference[variable]
        options = (sort_options or {}) | self._limit_names(item, names, context, sort_options)
        if item["names"].has_given and self.get_option("form", context) == "short":
            item.reference[variable] = [self._join_parts(names[0], context), *names[1:]]
        try:
            return super().process(item, variable, context, options, **kwargs)
        finally:
            item.reference[variable] = names

    def _limit_names(
        self, item: _Cite, names: Sequence[source.Name], context: Any, options: Any
    ) -> dict[str, str]:
        """Return the options that say how many names are shown, if they differ from the style's."""
        most = int(self.get_option("et-al-min", context, options))
        first = int(self.get_option("et-al-use-first", context, options))
        has_omitted = names[-1].get("literal") == ET_AL
        known = len(names) - has_omitted
        is_cut = most > 0 and (has_omitted or most <= known)
        shown = min(max(first, item["names"].shown), known) if is_cut else known
        if not shown or (not has_omitted and shown == (first if is_cut else known)):
            return {}
        if shown == len(names):
            return {"et-al-min": "0"}
        cut = {"et-al-min": str(len(names)), "et-al-use-first": str(shown)}
        return {**cut, "et-al-use-last": "false"}

    def _join_parts(self, name: source.Name, context: Any) -> source.Name:
        """Return a name whose given name is part of the family name, which a short form shows."""
        given, family, *_ = name.parts()
        mark = self.get_option("initialize-with", context)
        if given and mark is not None:
            given = self.initialize(given, mark, context)
        return source.Name(family=" ".join(filter(None, [given, family])))


class _Key(model.Key):
    """Sort key without accents, quotes, formatting and letters after years.

    citeproc-py compares them by code point.
    """

    def sort_keys(self, items: Sequence[_Cite], context: Any) -> list[Any]:
        for item in items:
            item["has_letter"] = True
        keys = super().sort_keys(items, context)
        return [key if key is None else _fold(str(key)) for key in keys]


def _fold(text: str) -> String:
    folded = unicodedata.normalize("NFKD", text).casefold()
    return String("".join(filter(_is_sorted, folded)))


def _is_sorted(letter: str) -> bool:
    is_quote = letter in "\"'" or unicodedata.category(letter) in {"Pi", "Pf", "Ps", "Pe"}
    return letter.isprintable() and not unicodedata.combining(letter) and not is_quote


class _Layout(model.Layout):
    """Layout that collapses citations, and keeps their order if the style does not sort them."""

    def render_citation(self, citation: Citation, callback: object) -> Any:  # noqa: ARG002
        parent = self.getparent()
        cites = list(citation.cites)
        if parent.sort is not None and len(cites) > 1:
            keys = citation.bibliography.keys
            cites.sort(key=lambda cite: keys.index(cite.key))  # equal ones, as 2021a and 2021b
            cites = parent.sort.sort(cites, self)
        if parent.get("collapse") == "citation-number":
            text = self._join_numbers(cites)
        elif parent.get("collapse") and len(cites) > 1:
            text = self._join_years(cites)
        else:
            text = self.join([self._render_cite(cite) for cite in cites])
        return self.format(self.wrap(text))

    def _render_cite(self, cite: _Cite, *, is_bare: bool = False) -> Any:
        self.repressed: dict[str, list[str]] = {}
        cite["is_bare"], cite["has_letter"] = is_bare, False
        cite["names"] = cite.bibliography.style.name_forms.get(cite.key, NameForm())
        text = self.render_children(cite)
        return String("") if text is None else text

    def _join_numbers(self, cites: Sequence[_Cite]) -> Any:
        """Join three or more consecutive numbers as a range."""
        parts: list[Any] = []
        for group in _group_consecutive(cites):
            texts = [self._render_cite(cite) for cite in group]
            several = len(texts) > 2
            parts += [join([texts[0], texts[-1]], "–")] if several else texts
        return self.join(parts)

    def _join_years(self, cites: Sequence[_Cite]) -> Any:
        """Join the years of cites with the same names, as "Doe, 2021a, 2021b"."""
        groups: dict[str, list[Any]] = {}
        for cite in cites:
            text, bare = self._render_cite(cite), self._render_cite(cite, is_bare=True)
            names = str(text).removesuffix(str(bare)) if bare else ""
            group = groups.setdefault(names or str(text), [])
            group.append(bare if group else text)
        delimiter = self.getparent().get("cite-group-delimiter", ", ")
        return self.join([join(group, delimiter) for group in groups.values()])

    def render_reference(self, cite: _Cite) -> tuple[str, str]:
        """Return label and text of an entry. citeproc-py joins them: "1.Moreau"."""
        self.repressed, cite["has_letter"] = {}, False
        label = ""
        if self.getparent().get("second-field-align"):
            label = str(self[0].render(cite))
        text = self.format(self.wrap(self.render_children(cite)))
        return label, str(text or "").removeprefix(label)


def _group_consecutive(cites: Sequence[_Cite]) -> Iterator[list[_Cite]]:
    group: list[_Cite] = []
    for cite in cites:
        if group and cite.number != group[-1].number + 1:
            yield group
            group = []
        group.append(cite)
    if group:
        yield group


_REPLACED: dict[type, type] = {
    model.Text: _Text,
    model.Number: _Number,
    model.Date: _Date,
    model.Date_Part: _DatePart,
    model.Names: _Names,
    model.Substitute: _Substitute,
    model.Name: _Name,
    model.Name_Part: _NamePart,
    model.Group: _Group,
    model.Label: _Label,
    model.Key: _Key,
    model.Layout: _Layout,
}
