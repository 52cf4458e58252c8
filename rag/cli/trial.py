"""Try a language model before it is used: one question, then the reader's test.

Each weakness that shows becomes a finding: what it means, and the settings that make the best of
the model. `rag setup` shows them, and `rag info --check` shares the calls.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rag.cli.options import open_assistant
from rag.cli.printing import print_note
from rag.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rag.answer import Answer
    from rag.llm import ChatModel, ModelCall
    from rag.llm.setup import FoundModel
    from rag.settings import Settings
    from rag.verification import ReaderScore

QUESTION = "what does ELECTRA's discriminator predict?"  # of the bundled library, which answers it
PATIENT_S = 300.0  # to wait for a slow model
_LONG_CALL_S = 30.0  # half of the default time-out
_LONG_ANSWER_S = 60.0
_GOOD_WINDOW = 8192  # tokens, for which prompts and numbers of papers are made
_LEAST_WINDOW = 1024  # that the setting takes
_LARGEST_COMPACT = 4_000_000_000  # parameters of a model that gets the compact prompt
_LARGER_WINDOW = {
    "Ollama": "start Ollama with OLLAMA_CONTEXT_LENGTH=8192",
    "LM Studio": "load the model with a context length of 8192",
    "llama.cpp": "start llama-server with -c 8192",
    "vLLM": "start vllm with --max-model-len 8192",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Weakness of a model or its server.

    Attributes:
        problem: what was seen, in one sentence.
        follows: what follows from it, in one sentence.
        settings: that make the best of it.
    """

    problem: str
    follows: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trial:
    """What a model did.

    Attributes:
        answer: to `QUESTION`.
        score: in the reader's test, None if it did not end.
        findings: in the order in which they showed.
    """

    answer: Answer
    score: ReaderScore | None
    findings: tuple[Finding, ...]

    @property
    def is_usable(self) -> bool:
        """Whether the model wrote an answer at all."""
        return not self.answer.model_error

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of all findings."""
        return {name: value for each in self.findings for name, value in each.settings.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "question": self.answer.question,
            "answer": self.answer.text,
            "status": self.answer.status,
            "mode": self.answer.mode,
            "seconds": round(self.answer.seconds, 2),
            "statements": len(self.answer.statements),
            "cited": count_cited(self.answer),
            "reader_test": self.score and {"right": self.score.right, "total": self.score.total},
            "findings": [asdict(each) for each in self.findings],
        }


def count_cited(answer: Answer) -> int:
    """Return how many statements of an answer have a citation."""
    return sum(bool(each.citations) for each in answer.statements)


def ask_ready(model: ChatModel) -> str:
    """Ask for one word and return in words that the model answers.

    Raises:
        ModelError: it does not.
    """
    from rag.llm import Message

    reply = model.complete([Message("user", "Reply with the word: ready")])
    counts = "no token figures" if reply.usage.estimated else "its own token figures"
    return f"{model.name} answers, with {counts}"


def be_patient(settings: Settings) -> Settings:
    """Return settings under which a slow model has time, and a failed call is not repeated."""
    timeout_s = max(settings.chat_timeout_s, PATIENT_S)
    return settings.model_copy(update={"chat_timeout_s": timeout_s, "chat_retries": 0})


def find_limits(found: FoundModel, program: str) -> tuple[dict[str, Any], list[Finding]]:
    """Return the settings that a server's window and a model's size call for, with findings."""
    settings: dict[str, Any] = {}
    findings = []
    if found.parameters and found.parameters <= _LARGEST_COMPACT:
        settings["compact"] = True
        problem = f"The model is small ({found.parameters / 1e9:.1f}B parameters)."
        findings.append(Finding(problem, "It gets a compact prompt, no plan and no repair."))
    if found.window:
        settings["chat_window"] = max(found.window, _LEAST_WINDOW)
        if found.window < _GOOD_WINDOW:
            remedy = _LARGER_WINDOW.get(program, "give it 8,192 tokens")
            problem = f"The context window is small ({found.window:,} tokens)."
            follows = f"Answers rest on fewer papers; {remedy}, then run rag setup again."
            findings.append(Finding(problem, follows))
    return settings, findings


def try_model(settings: Settings, *, quiet: bool) -> Trial:
    """Ask one question of the bundled library and run the reader's test.

    Args:
        settings: name the model. Their library is not asked.
        quiet: print no progress.

    Raises:
        ModelRejected: the model refuses the call.
        SettingsError: a key is missing, or an address is not valid.
    """
    patient = be_patient(settings).model_copy(update={"index": None})
    if not quiet:
        print_note(f"Asking: {QUESTION}")
    answer, calls, takes_schema = _ask(patient, quiet=quiet)
    findings = [*_judge_answer(answer, takes_schema=takes_schema)]
    findings += _judge_speed(answer, calls, settings.chat_timeout_s)
    if answer.model_error:
        return Trial(answer, None, tuple(findings))
    if not quiet:
        print_note("Testing how well it checks statements ...")
    score, doubts = _test_checks(patient)
    return Trial(answer, score, (*findings, *doubts))


def run_test(settings: Settings) -> ReaderScore | None:
    """Run the reader's test on the model that checks and return its score. None without a model.

    Raises:
        ModelError: the model gave no reply.
    """
    from rag.llm import make_chat_model, make_check_model
    from rag.verification.reader_test import run_reader_test

    model = make_check_model(settings) or make_chat_model(settings)
    if model is None:
        return None
    try:
        return run_reader_test(model, settings)
    finally:
        model.close()


def _ask(settings: Settings, *, quiet: bool) -> tuple[Answer, list[ModelCall], bool]:
    """Return the answer to `QUESTION`, the calls behind it, and whether a schema worked."""
    calls: list[ModelCall] = []
    with open_assistant(settings, quiet=quiet) as assistant:
        for event in assistant.stream(QUESTION, trace=True):
            if event.kind == "step":
                calls += event.calls
            elif event.kind == "done":
                answer = event.answer
        return answer, calls, assistant.model is None or assistant.model.takes_schema


def _judge_answer(answer: Answer, *, takes_schema: bool) -> Iterator[Finding]:
    from rag.query.plan import NOT_PLANNED

    if answer.model_error:
        yield Finding(
            f"It wrote no answer. {answer.model_error}", "Answers would be quotes with this note."
        )
        return
    if any(note.startswith(NOT_PLANNED) for note in answer.warnings):
        yield Finding(
            "Its plan of the search could not be read.",
            "Questions are searched for as typed, which saves a call.",
            {"plan": "never"},
        )
    elif not takes_schema:
        yield Finding(
            "The server takes no JSON schema for a reply.", "Its replies are read without one."
        )
    if answer.status == "abstained":
        yield Finding(
            "It refused a question that the library answers.",
            "Answers will be missing; the closest sentences are quoted instead.",
        )
        return
    uncited = sum(each.verdict == "uncited" for each in answer.statements)
    if uncited or not answer.citations:
        yield Finding(
            f"{uncited or len(answer.statements)} of {len(answer.statements)} statements have no "
            "citation that could be placed.",
            'They read "uncited"; a larger model cites better.',
        )


def _judge_speed(answer: Answer, calls: list[ModelCall], timeout_s: float) -> Iterator[Finding]:
    longest = max((call.seconds for call in calls), default=0.0)
    if longest > _LONG_CALL_S:
        settings = {"chat_timeout_s": PATIENT_S} if timeout_s < PATIENT_S else {}
        yield Finding(
            f"It is slow: {answer.seconds:.0f} s for one answer, {longest:.0f} s for one call.",
            f"A call may take {max(timeout_s, PATIENT_S):g} s; a smaller model answers sooner.",
            settings,
        )
    elif answer.seconds > _LONG_ANSWER_S:
        yield Finding(
            f"It is slow: {answer.seconds:.0f} s for one answer.",
            "A smaller model, or repair = false, answers sooner.",
        )


def _test_checks(settings: Settings) -> tuple[ReaderScore | None, list[Finding]]:
    advice = (
        'Statements read "unchecked", without colour; name another model with --check-model, or '
        "check_model in the config file."
    )
    try:
        score = run_test(settings)
    except ModelError as error:
        return None, [Finding(str(error), advice, {"check_with_model": False})]
    if score is None or score.tested == "passed":
        return score, []
    problem = f"Its checks are not reliable: {score.right} of {score.total} right."
    return score, [Finding(problem, advice)]  # and it is not asked again
