"""The Settings tab: what a reader may choose, what the server's owner has fixed, and what runs.

A value given on the command line is fixed. Readers may change all others for their own page.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rag import __version__
from rag.web.escape import escape

if TYPE_CHECKING:
    from rag.settings import Settings
    from rag.web.library_pool import LibraryPool
    from rag.web.session import Choices, Session

_MOST = {"k": 30, "sentences": 10}
_SWITCHES = ("with_model", "check_with_model")
_TEXTS = {
    "k": (
        "Papers to retrieve",
        "How many papers each question looks at. More find more and take longer.",
    ),
    "sentences": (
        "Sentences in an answer",
        "The most sentences that an answer quotes when no language model writes it.",
    ),
}


def change_choices(session: Session, settings: Settings, values: dict[str, Any]) -> Choices:
    """Return the session's choices with some of them changed. Ignores what is not a choice."""
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if is_fixed(settings, name):
            continue
        if name in _MOST:
            number = _parse_whole(value)
            if number is not None and 1 <= number <= _MOST[name]:
                changes[name] = number
        elif name in _SWITCHES:
            changes[name] = value in (True, "true")
    return replace(session.choices, **changes)


def is_fixed(settings: Settings, name: str) -> bool:
    """Return whether the owner gave a setting on the command line."""
    return settings.origin.get(name) == "argument"


def render_settings(session: Session, pool: LibraryPool) -> str:
    """Render the tab."""
    settings, choices = pool.settings, session.choices
    has_model = bool(settings.chat_model) and choices.with_model
    parts = [
        _render_writer(settings, choices),
        _render_range(settings, "k", choices.k or settings.k),
        _render_range(settings, "sentences", choices.sentences or settings.sentences),
        _render_check(settings, choices, has_model=has_model),
        _render_section(
            "Feedback",
            "Your feedback on answers stays in a file on this server.",
            '<p><button type="button" data-act="feedback">Download feedback</button></p>',
        ),
        _render_about(pool, session),
    ]
    return f'<div class="settings">{"".join(parts)}</div>'


def _render_about(pool: LibraryPool, session: Session) -> str:
    state = pool.get_state(session.library)
    rows = [("Papertrail", __version__), ("Library", state.text)]
    if state.kind == "ready":
        assistant = pool.get_assistant(session.library)
        rows.append(("Index", f"generation {assistant.generation}"))
        rows.append(("Embedder", assistant.embedder.name))
    cells = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f"<section><h2>About</h2><dl>{cells}</dl></section>"


def _render_section(title: str, explanation: str, inside: str) -> str:
    return f"<section><h2>{title}</h2><p>{explanation}</p>{inside}</section>"


def _render_fixed(value: object) -> str:
    return f'<p class="fixed"><strong>{escape(value)}</strong> <span>fixed by the server</span></p>'


def _render_range(settings: Settings, name: str, value: int) -> str:
    title, explanation = _TEXTS[name]
    if is_fixed(settings, name):
        return _render_section(title, explanation, _render_fixed(value))
    return _render_section(
        title,
        explanation,
        f'<p class="range"><input type="range" id="set-{name}" data-set="{name}" min="1" '
        f'max="{_MOST[name]}" value="{value}" aria-label="{title}"><output for="set-{name}">'
        f"{value}</output></p>",
    )


def _render_writer(settings: Settings, choices: Choices) -> str:
    title = "Writer"
    if not settings.chat_model:
        return _render_section(
            title,
            "Answers are sentences quoted word for word from the abstracts. This server has no "
            "language model.",
            _render_fixed("Quotes"),
        )
    options = (
        ("true", f"Language model: {settings.chat_model}", choices.with_model),
        ("false", "Quotes", not choices.with_model),
    )
    radios = "".join(
        f'<label><input type="radio" name="writer" data-set="with_model" value="{value}"'
        f"{' checked' * is_on}> {escape(words)}</label>"
        for value, words, is_on in options
    )
    return _render_section(
        title,
        "A language model answers in its own words from the papers that were found. Quotes are "
        "sentences copied word for word, and cost nothing. The server decides which model it is.",
        f'<div role="radiogroup" aria-label="Writer" class="radios">{radios}</div>',
    )


def _render_check(settings: Settings, choices: Choices, *, has_model: bool) -> str:
    title = "Checking"
    explanation = (
        "Every statement is compared with the abstracts it cites: is it a quote, and do its "
        "figures occur there? A language model can also read both and judge whether the abstract "
        "supports the statement. That takes longer."
    )
    if not has_model:
        return _render_section(title, explanation, _render_fixed("Text comparison"))
    value = settings.check_with_model
    if choices.check_with_model is not None:
        value = choices.check_with_model
    if is_fixed(settings, "check_with_model"):
        words = "Language model" if value else "Text comparison"
        return _render_section(title, explanation, _render_fixed(words))
    return _render_section(
        title,
        explanation,
        '<label><input type="checkbox" data-set="check_with_model"'
        f"{' checked' * value}> Let the language model check</label>",
    )


def _parse_whole(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None
