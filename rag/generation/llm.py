"""Writer with a language model: prompt, token budget, and the reply with its markers resolved.

Papers are numbered for the prompt, delimited and declared to be data. What in them could pass for a
delimiter, a marker or a speaker's tag is made harmless. The model's window is filled with whole
passages, best paper first, after a part of it has gone to the conversation.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rag.answer import Status, Text
from rag.citations.loose import bracket_numbers, cite_quotations
from rag.citations.markers import remove_markers
from rag.citations.resolve import MarkerResolver, Numbering, close_gaps, resolve_statements
from rag.errors import SettingsError
from rag.generation.abstention import CLOSEST_PAPERS
from rag.generation.compact import FilledPrompt, choose_papers, fill_compact, remove_copies
from rag.generation.draft import Draft, shown_numbers
from rag.llm import Message
from rag.llm.errors import describe_refusal, shorten
from rag.llm.tokens import count_tokens
from rag.papers import describe_record
from rag.prompts import Prompt, load_prompt, neutral
from rag.query.plan import Exchange
from rag.query.planner import render_exchanges
from rag.text.terms import has_words

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from rag.answer import AnswerEvent, Turn
    from rag.llm import ChatModel, Reply
    from rag.papers import Paper
    from rag.query.plan import Plan
    from rag.retrieval import Hit
    from rag.retrieval.roles import Roles
    from rag.settings import Settings

HISTORY_SHARE = 0.25  # of the window, at most, goes to the conversation
_MARGIN_TOKENS = 64  # models count a little differently


def write_with_model(
    plan: Plan,
    hits: Sequence[Hit],
    history: Sequence[Turn],
    *,
    model: ChatModel,
    settings: Settings,
    count: int,
    confidence: float | None,
    roles: Roles | None = None,
) -> Generator[AnswerEvent, None, Draft]:
    """Yield the model's answer as it streams and return the draft, its statements unchecked.

    Args:
        plan: of the question.
        hits: papers, best first.
        history: earlier turns, oldest first.
        model: asked.
        settings: prompts.
        count: number of papers that the hits are the nearest of.
        confidence: that the library holds an answer, in [0, 1].
        roles: of the sentences found, for the compact form of the prompt. None takes the long one.

    Raises:
        SettingsError: the window is too small for a single passage.
        PromptTooLong: the server takes not even the best paper.
        ModelError: the model gave no reply.
    """
    yield Status(f"Writing with {model.name}")
    window = model.window - model.reserve
    prompt = load_prompt("answer" if roles is None else "answer_compact", settings.prompts)
    if roles is None:
        read, form = hits, partial(fill_prompt, history=history, count=count)
    else:
        read, form = choose_papers(hits), partial(fill_compact, roles=roles)
    fill = partial(form, plan, window=window, prompt=prompt)
    filled, reply, notes = _send(fill, read, model, prompt.name)
    numbering = Numbering(shown_numbers(history))
    resolver = MarkerResolver(filled.papers, numbering)
    try:
        for chunk in reply:
            if text := resolver.feed(chunk):
                yield Text(text)
    finally:
        reply.close()
    if text := resolver.finish():
        yield Text(text)
    shown = bracket_numbers(reply.text, filled.papers, filled.label)
    if reply.restarted or shown != reply.text:  # what was streamed is not what is said
        resolver = MarkerResolver(filled.papers, numbering)
        resolver.feed(shown)
        resolver.finish()
    if resolver.unknown:
        markers = ", ".join(dict.fromkeys(resolver.unknown))
        several = len(set(resolver.unknown)) > 1
        left_out = "match no paper. They are" if several else "matches no paper. It is"
        unknown = f"The model cited {markers}, which {left_out} left out."
        notes = (unknown, *notes)
    by_number = {numbering.numbers[p.id]: p for p in filled.papers if p.id in numbering.numbers}
    text, statements = resolve_statements(resolver.pieces, by_number)
    text, statements, copied = remove_copies(text, statements, filled.messages[0].text)
    if copied:
        notes = (*notes, "The model repeated sentences of its instructions. They are left out.")
    if roles is not None or not any(statement.citations for statement in statements):
        text, statements = cite_quotations(text, statements, filled.papers, numbering)
    return Draft(
        text,
        statements,
        hits=tuple(hits),
        status="incomplete" if reply.broken else "answered",
        reason=reply.broken,
        mode="model",
        model=model.name,
        confidence=confidence,
        usage=reply.usage,
        warnings=notes,
    )


def _send(
    fill: Callable[[Sequence[Hit]], FilledPrompt],
    hits: Sequence[Hit],
    model: ChatModel,
    name: str,
) -> tuple[FilledPrompt, Reply, tuple[str, ...]]:
    """Send as many papers as the window holds and the server takes; see `write_with_model`.

    Returns:
        the prompt, the reply as it begins, and notes on papers that were found but not sent.
    """
    papers = fill(hits).papers
    fitting = [hit for hit in hits if hit.paper in papers]

    def send(most: int) -> tuple[FilledPrompt, Reply]:
        filled = fill(fitting[:most])
        return filled, model.reply(filled.messages, prompt=name)

    (filled, reply), sent = shorten(send, len(fitting))
    notes = []
    if left_out := len(hits) - len(fitting):
        notes.append(f"{left_out} of the papers found did not fit into the model's window.")
    if sent < len(fitting):
        notes.append(describe_refusal(len(fitting), sent, "papers"))
    return filled, reply, tuple(notes)


def settle_status(draft: Draft, known: Mapping[str, int]) -> Draft:
    """Return a checked draft of a model with its final text, numbers and status.

    A reply that cites no paper is an abstention, and so is an empty one.

    Args:
        draft: checked, without what was withdrawn.
        known: paper id -> number in earlier turns, which stays.
    """
    text, statements = close_gaps(draft.text, draft.statements, known.values())
    draft = replace(draft, text=text, statements=statements)
    blanks = len(draft.text) - len(draft.text.lstrip())
    statements = tuple(
        replace(statement, start=statement.start - blanks, end=statement.end - blanks)
        for statement in draft.statements
    )
    draft = replace(draft, text=draft.text.strip(), statements=statements)
    if draft.status == "incomplete":
        return draft
    if any(statement.citations for statement in draft.statements):
        return draft
    closest = draft.hits[:CLOSEST_PAPERS]
    if draft.removed or not has_words(remove_markers(draft.text)):
        reason = (
            "the papers cited support nothing that the model wrote."
            if draft.removed
            else "the model's reply holds no statement."
        )
        text = f"There is no answer to show: {reason}"
        return replace(
            draft, text=text, statements=(), status="abstained", reason=reason, closest=closest
        )
    unclaimed = (replace(s, verdict=None, claim=False) for s in draft.statements)
    return replace(
        draft,
        statements=tuple(unclaimed),
        status="abstained",
        reason="the model cited none of the papers that it was given.",
        closest=closest,
    )


def fill_prompt(
    plan: Plan,
    hits: Sequence[Hit],
    history: Sequence[Turn],
    *,
    count: int,
    window: int,
    prompt: Prompt,
) -> FilledPrompt:
    """Return the prompt with as many papers as fit.

    Args:
        plan: of the question.
        hits: papers, best first.
        history: earlier turns, oldest first. The newest ones are kept.
        count: number of papers that the hits are the nearest of.
        window: tokens for the prompt.
        prompt: with the variables nearest, papers, question, conversation.

    Raises:
        SettingsError: not a single passage fits.
    """
    exchanges = [
        Exchange(turn.question, turn.answer.asked, remove_markers(turn.answer.text))
        for turn in history
    ]
    conversation = render_exchanges(exchanges, int(window * HISTORY_SHARE))
    question = _render_question(plan)
    shell = prompt.fill(
        nearest=_count_nearest(len(hits), count, plan),
        papers="",
        question=question,
        conversation=conversation,
    )
    left = window - sum(map(count_tokens, shell)) - _MARGIN_TOKENS
    blocks: list[str] = []
    papers: list[Paper] = []
    for hit in hits:
        block, cost = render_paper(hit, len(papers) + 1, left)
        if block:
            blocks.append(block)
            papers.append(hit.paper)
            left -= cost
    if not papers:
        raise SettingsError(
            f"A window of {window} tokens has no room for a passage beside the question. Set "
            "chat_window to what the model can read, or ask a shorter question."
        )
    system, user = prompt.fill(
        nearest=_count_nearest(len(papers), count, plan),
        papers="\n".join(blocks),
        question=question,
        conversation=conversation,
    )
    messages = (Message("system", system), Message("user", user))
    return FilledPrompt(messages, tuple(papers))


def _render_question(plan: Plan) -> str:
    """Return the question as typed, which shows its language, and as it is understood."""
    typed, understood = neutral(plan.question), neutral(plan.standalone)
    return typed if typed == understood else f"{typed}\nUnderstood as: {understood}"


def _count_nearest(shown: int, count: int, plan: Plan) -> str:
    """Return which papers the prompt has, in a sentence without its full stop."""
    chosen = f" {neutral(str(plan.where))}" if plan.where else ""
    papers = f"{count} papers of the library{chosen}"
    if count == 1:
        return f"This is the only paper of the library{chosen}"
    if plan.kind == "list" and shown == 1:
        return f"This is the one that fits, of the {papers}"
    if plan.kind == "list":
        return (
            f"These are the {shown} that fit, of the {papers}. Cover each of them, in a table with "
            "one row for each paper if the question asks several things of each"
        )
    if shown == 1:
        return f"This is the nearest of the {papers}"
    return f"These are the {f'{shown} nearest of the' if shown < count else 'only'} {papers}"


def render_paper(hit: Hit, number: int, budget: int) -> tuple[str, int]:
    """Return a paper with its best passages that fit, and its tokens. "" where none fits."""
    head = f'<paper number="{number}">\n{_render_record(hit.paper)}\nAbstract: '
    cost = count_tokens(head) + 6
    chosen = []
    for passage in hit.passages:
        tokens = count_tokens(neutral(passage.text))
        if cost + tokens <= budget:
            chosen.append(passage)
            cost += tokens
    if not chosen:
        return "", 0
    chosen.sort(key=lambda passage: passage.start)
    whole = len(chosen) == len(hit.passages)
    text = hit.paper.abstract if whole else " ... ".join(passage.text for passage in chosen)
    return f"{head}{neutral(text)}\n</paper>", cost


def _render_record(paper: Paper) -> str:
    """Return the title, year, authors and venue of a paper, as far as they are known."""
    fields = {"Title": paper.title, **describe_record(paper)}
    return "\n".join(f"{name}: {neutral(value)}" for name, value in fields.items())
