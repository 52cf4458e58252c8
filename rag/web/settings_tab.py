"""The Settings tab: what a reader may choose, what the server's owner has fixed, and what runs.

A value given on the command line is fixed. Readers may change all others for their own page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rag import __version__
from rag.web.escape import escape, render_button
from rag.web.table import parse_number

if TYPE_CHECKING:
    from rag.serving.library_pool import LibraryPool
    from rag.settings import Settings
    from rag.web.session import Session

_MOST = {"k": 30, "sentences": 10}
_SWITCHES = ("with_model", "check_with_model")
_ABOUT_CHECKS = (
    "Every statement is compared with the abstracts it cites: is it a quote, and do its figures "
    "occur there? A language model can also read both and judge whether the abstract supports the "
    "statement. That takes longer."
)


def change_choices(session: Session, settings: Settings, values: dict[str, Any]) -> dict[str, Any]:
    """Return the session's choices with some of them changed. Ignores what is not a choice."""
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if is_fixed(settings, name):
            continue
        number = parse_number(value)
        if name in _MOST and 1 <= number <= _MOST[name]:
            changes[name] = number
        elif name in _SWITCHES:
            changes[name] = value in (True, "true")
    return {**session.choices, **changes}


def is_fixed(settings: Settings, name: str) -> bool:
    """Return whether the owner gave a setting on the command line."""
    return settings.origin.get(name) == "argument"


def render_settings(session: Session, pool: LibraryPool) -> str:
    """Render the tab."""
    settings = pool.settings
    names = ("k", "sentences", "check_with_model")
    values = {name: getattr(settings, name) for name in names}
    values = {"with_model": True, **values, **session.choices}
    with_model = bool(settings.writer) and values["with_model"]
    values["k"] = values["k"] or settings.get_k(
        with_model=with_model, with_plan=settings.plan == "always"
    )
    parts = [
        _render_writer(settings, with_model=values["with_model"]),
        _render_section(
            "Papers to retrieve",
            "How many papers each question looks at. More find more and take longer.",
            _render_range(settings, "k", values["k"], "Papers to retrieve"),
        ),
        _render_section(
            "Sentences in an answer",
            "The most sentences that an answer quotes when no language model writes it.",
            _render_range(settings, "sentences", values["sentences"], "Sentences in an answer"),
        ),
        _render_section("Checking", _ABOUT_CHECKS, _render_check(settings, values)),
        _render_section(
            "Feedback",
            "Your feedback on answers stays in a file on this server.",
            f"<p>{render_button('Download feedback', act='feedback')}</p>",
        ),
        _render_about(pool, session),
    ]
    return f'<div class="settings">{"".join(parts)}</div>'


def _render_section(title: str, explanation: str, inside: str) -> str:
    return f"<section><h2>{title}</h2><p>{explanation}</p>{inside}</section>"


def _render_fixed(value: object) -> str:
    return f'<p class="fixed"><strong>{escape(value)}</strong> <span>fixed by the server</span></p>'


def _render_range(settings: Settings, name: str, value: int, title: str) -> str:
    if is_fixed(settings, name):
        return _render_fixed(value)
    return (
        f'<p class="range"><input type="range" id="set-{name}" data-set="{name}" min="1" '
        f'max="{_MOST[name]}" value="{value}" aria-label="{title}"><output for="set-{name}">'
        f"{value}</output></p>"
    )


def _render_writer(settings: Settings, *, with_model: bool) -> str:
    if not settings.writer:
        return _render_section(
            "Writer",
            "Answers are sentences quoted word for word from the abstracts. This server has no "
            "language model.",
            _render_fixed("Quotes"),
        )
    options = (
        ("true", f"Language model: {settings.writer}", with_model),
        ("false", "Quotes", not with_model),
    )
    radios = "".join(
        f'<label><input type="radio" name="writer" data-set="with_model" value="{value}"'
        f"{' checked' * is_on}> {escape(words)}</label>"
        for value, words, is_on in options
    )
    return _render_section(
        "Writer",
        "A language model answers in its own words from the papers that were found. Quotes are "
        "sentences copied word for word, and cost nothing. The server decides which model it is.",
        f'<div role="radiogroup" aria-label="Writer" class="radios">{radios}</div>',
    )


def _render_check(settings: Settings, values: dict[str, Any]) -> str:
    has_model = bool(settings.writer) and values["with_model"]
    is_on = has_model and values["check_with_model"]
    if not has_model or is_fixed(settings, "check_with_model"):
        return _render_fixed("Language model" if is_on else "Text comparison")
    return (
        '<label><input type="checkbox" data-set="check_with_model"'
        f"{' checked' * is_on}> Let the language model check</label>"
    )


def _render_about(pool: LibraryPool, session: Session) -> str:
    state = pool.get_state(session.library)
    rows = [("Papertrail", __version__), ("Library", state.text)]
    if state.kind == "ready":
        assistant = pool.get_assistant(session.library)
        rows.append(("Index", f"generation {assistant.generation}"))
        rows.append(("Embedder", assistant.embedder.name))
    cells = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f"<section><h2>About</h2><dl>{cells}</dl></section>"
