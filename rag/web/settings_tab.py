"""The Settings tab: what a reader may choose, what the server's owner has fixed, and what runs.

What was given on the command line is fixed; anything else a reader may change for their own page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rag import __version__
from rag.web.escape import safe
from rag.web.session import Choices

if TYPE_CHECKING:
    from rag.settings import Settings
    from rag.web.library_pool import LibraryPool
    from rag.web.session import Session

_MOST = {"k": 30, "sentences": 10}
_WORDS = {
    "k": (
        "Papers to retrieve",
        "How many papers are looked at for each question; more find more, and take longer.",
    ),
    "sentences": (
        "Sentences in an answer",
        "The most sentences that an answer quotes when no language model writes it.",
    ),
}


def chosen(session: Session, settings: Settings, values: dict[str, Any]) -> Choices:
    """The session's choices with some of them changed; what cannot be chosen is passed over."""
    found = session.choices
    changed = {
        "k": found.k,
        "sentences": found.sentences,
        "with_model": found.with_model,
        "check_with_model": found.check_with_model,
    }
    for name, value in values.items():
        if name in _MOST and not is_fixed(settings, name):
            number = _whole(value)
            if number is not None and 1 <= number <= _MOST[name]:
                changed[name] = number
        elif name in ("with_model", "check_with_model") and not is_fixed(settings, name):
            changed[name] = value in (True, "true")
    return Choices(**changed)  # type: ignore[arg-type]


def values_of(choices: Choices) -> dict[str, Any]:
    """The choices that differ from the server's values, for the browser to keep."""
    values: dict[str, Any] = {}
    for name in ("k", "sentences", "check_with_model"):
        value = getattr(choices, name)
        if value is not None:
            values[name] = value
    return values if choices.with_model else {**values, "with_model": False}


def is_fixed(settings: Settings, name: str) -> bool:
    """Whether the owner gave a setting on the command line."""
    return settings.origin.get(name) == "argument"


def form(session: Session, pool: LibraryPool) -> str:
    """The tab as HTML."""
    settings, choices = pool.settings, session.choices
    writes = bool(settings.chat_model) and choices.with_model
    parts = [
        _writer(settings, choices),
        _range("k", choices.k or settings.k, fixed=is_fixed(settings, "k")),
        _range(
            "sentences",
            choices.sentences or settings.sentences,
            fixed=is_fixed(settings, "sentences"),
        ),
        _check(settings, choices, writes=writes),
    ]
    return f'<div class="settings">{"".join(parts)}{_feedback()}{about(pool, session)}</div>'


def about(pool: LibraryPool, session: Session) -> str:
    """Version, library and embedder, as one block."""
    state = pool.state(session.library)
    rows = [("Papertrail", __version__), ("Library", state.text)]
    if state.kind == "ready":
        assistant = pool.assistant(session.library)
        rows.append(("Index", f"generation {assistant.generation}"))
        rows.append(("Embedder", assistant.embedder.name))
    cells = "".join(f"<dt>{safe(name)}</dt><dd>{safe(value)}</dd>" for name, value in rows)
    return f"<section><h2>About</h2><dl>{cells}</dl></section>"


def _section(title: str, explanation: str, inside: str) -> str:
    return f"<section><h2>{title}</h2><p>{explanation}</p>{inside}</section>"


def _fixed(value: object) -> str:
    return f'<p class="fixed"><strong>{safe(value)}</strong> <span>fixed by the server</span></p>'


def _range(name: str, value: int, *, fixed: bool) -> str:
    title, explanation = _WORDS[name]
    if fixed:
        return _section(title, explanation, _fixed(value))
    return _section(
        title,
        explanation,
        f'<p class="range"><input type="range" id="set-{name}" data-set="{name}" min="1" '
        f'max="{_MOST[name]}" value="{value}" aria-label="{title}"><output for="set-{name}">'
        f"{value}</output></p>",
    )


def _writer(settings: Settings, choices: Choices) -> str:
    title = "Writer"
    if not settings.chat_model:
        return _section(
            title,
            "Answers are sentences quoted word for word from the abstracts. No language model is "
            "set up on this server.",
            _fixed("Verbatim sentences"),
        )
    options = (
        ("true", f"Language model: {settings.chat_model}", choices.with_model),
        ("false", "Verbatim sentences", not choices.with_model),
    )
    radios = "".join(
        f'<label><input type="radio" name="writer" data-set="with_model" value="{value}"'
        f"{' checked' * is_on}> {safe(words)}</label>"
        for value, words, is_on in options
    )
    return _section(
        title,
        "A language model writes in its own words from the papers that were found, and its "
        "statements are checked. Verbatim sentences are quoted word for word and cost nothing. "
        "Which model it is, the server decides.",
        f'<div role="radiogroup" aria-label="Writer" class="radios">{radios}</div>',
    )


def _check(settings: Settings, choices: Choices, *, writes: bool) -> str:
    title = "Checking"
    explanation = (
        "Every statement is checked against the abstracts it cites, always. With a language model "
        "it can be asked to check as well, which finds more and takes longer."
    )
    if not writes:
        return _section(title, explanation, _fixed("Offline check"))
    value = settings.check_with_model
    if choices.check_with_model is not None:
        value = choices.check_with_model
    if is_fixed(settings, "check_with_model"):
        return _section(title, explanation, _fixed("With the model" if value else "Offline check"))
    return _section(
        title,
        explanation,
        '<label><input type="checkbox" data-set="check_with_model"'
        f"{' checked' * value}> Let the language model check too</label>",
    )


def _feedback() -> str:
    return _section(
        "Feedback",
        "What you said about answers is kept in a file on this server and sent nowhere.",
        '<p><button type="button" data-act="feedback">Download feedback</button></p>',
    )


def _whole(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None
