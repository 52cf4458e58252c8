"""Read a model's reply as it streams in: text without thoughts, usage, and whether it is whole."""

from __future__ import annotations

import codecs
import time
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from rag.errors import ModelReplyInvalid
from rag.llm.errors import to_model_error
from rag.llm.repetition import find_repetition
from rag.llm.thinking import ThoughtFilter, drop_unopened_thoughts
from rag.llm.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

_MAX_TOKENS = 10**12  # larger figures, infinity and NaN are no token counts
_TOKEN_BYTES = 4  # of UTF-8, in most languages
_SLACK = 1.5  # a server that keeps its limit never meets ours
_CHARS_BETWEEN_LOOKS = 200
_MOST_BLANKS = 400  # in a row; a model that must write JSON may never stop sending them
_INCOMPLETE = {
    "length": "the reply reached the length limit of the model or of chat_reserve",
    "content_filter": "the server's content filter cut the reply",
    "error": "the server failed before the reply was whole",
    "abort": "the server failed before the reply was whole",
    "": "the connection ended before the reply did",
}


@dataclass(frozen=True, slots=True)
class Usage:
    """Calls to language models and their tokens. All are 0 in quotes mode.

    Attributes:
        calls: requests that were answered.
        prompt_tokens: tokens that the model read.
        completion_tokens: tokens that it wrote.
        estimated: some tokens were counted here because the server gave no figures.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.estimated or other.estimated,
        )


NO_USAGE = Usage()


class ReplyRejected(ModelReplyInvalid):
    """Reply that came and cannot be used. Its tokens count all the same."""

    def __init__(self, message: str, usage: Usage) -> None:
        super().__init__(message)
        self.usage = usage


def get_usage(error: Exception) -> Usage:
    """Return what a failed call used."""
    return error.usage if isinstance(error, ReplyRejected) else NO_USAGE


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of a reply.

    Attributes:
        text: may be empty, and may end in half a surrogate pair.
        finish: OpenAI's finish_reason, "" before the end.
        tokens: prompt and completion tokens of the whole call, where the server sends them.
        logprob: natural logarithm of the probability of its first token, where the server sends it.
    """

    text: str = ""
    finish: str = ""
    tokens: tuple[int, int] | None = None
    logprob: float | None = None


def read_chunk(raw: Any) -> Chunk:
    """Read a chat completion chunk in OpenAI's form. What is missing or malformed is left empty."""
    choices = getattr(raw, "choices", None)
    choice = choices[0] if isinstance(choices, list) and choices else None
    text = getattr(getattr(choice, "delta", None), "content", None)
    finish = getattr(choice, "finish_reason", None)
    scored = getattr(getattr(choice, "logprobs", None), "content", None)
    logprob = getattr(scored[0], "logprob", None) if isinstance(scored, list) and scored else None
    usage = getattr(raw, "usage", None)
    counts = [getattr(usage, f"{kind}_tokens", None) for kind in ("prompt", "completion")]
    valid = [int(n) for n in counts if isinstance(n, int | float) and 0 <= n < _MAX_TOKENS]
    return Chunk(
        text=text if isinstance(text, str) else "",
        finish=finish if isinstance(finish, str) else "",
        tokens=(valid[0], valid[1]) if len(valid) == 2 else None,
        logprob=logprob if isinstance(logprob, int | float) else None,
    )


class Reply:
    """One reply, iterated for its text. Its attributes are final when the iteration ends.

    Attributes:
        text: the reply so far, without thoughts.
        raw: the reply so far, as the server sends it.
        broken: why the reply is not whole (cut, length limit, filter, repetition, blanks), or "".
        restarted: text that was already yielded was thought or repetition, and `text` is without.
        logprob: of the first token, as in `Chunk`.
        ended: `time.perf_counter()` at its end.
        earlier: usage of a call with a schema whose reply was rejected before this one.
    """

    def __init__(
        self,
        first: Chunk,
        rest: Generator[Chunk],
        *,
        prompt_tokens: int,
        most_tokens: int,
        model: str,
        secrets: Sequence[str],
    ) -> None:
        self.text = self.raw = ""
        self.broken = ""
        self.restarted = False
        self.logprob: float | None = None
        self.ended: float | None = None
        self.earlier: Usage = NO_USAGE
        self._first = first
        self._rest = rest
        self._prompt_tokens = prompt_tokens
        self._most_tokens = most_tokens
        self._model = model
        self._secrets = secrets
        self._looked_at = 0
        self._tokens: tuple[int, int] | None = None
        self._finish = ""

    def __iter__(self) -> Iterator[str]:
        thoughts = ThoughtFilter()
        for text in self._read_text():
            self.raw += text
            if shown := thoughts.feed(text):
                self.text += shown
                yield shown
            if self._sends_blanks():
                self.broken = "the model sent nothing but blanks"
            if self.broken or (shown and self._repeats()):
                self.close()
                break
        if rest := thoughts.finish():
            self.text += rest
            yield rest
        self._conclude()

    def close(self) -> None:
        """End the request. After the end of the reply this does nothing."""
        self._rest.close()

    @property
    def usage(self) -> Usage:
        """Token figures of the server, or an estimate where it sends none."""
        if self._tokens:
            return Usage(1, *self._tokens)
        thought_length = len(self.raw) - len(self.text)  # about four characters per token
        completion_tokens = count_tokens(self.text) + thought_length // 4
        return Usage(1, self._prompt_tokens, completion_tokens, estimated=True)

    def _sends_blanks(self) -> bool:
        tail = self.raw[-_MOST_BLANKS:]
        return len(tail) == _MOST_BLANKS and tail.isspace()

    def _repeats(self) -> bool:
        """Return whether the text has begun to repeat itself. Look once in a while."""
        if len(self.text) < self._looked_at + _CHARS_BETWEEN_LOOKS:
            return False
        self._looked_at = len(self.text)
        return find_repetition(self.text) is not None

    def _read_text(self) -> Iterator[str]:
        """Yield the text of all chunks, thoughts included, until there is too much of it.

        JSON can hold halves of surrogate pairs, which cannot be encoded. Halves that belong
        together are joined, also across chunks. Others become U+FFFD.
        """
        decoder = codecs.getincrementaldecoder("utf-16-le")("replace")
        left = self._most_tokens * _TOKEN_BYTES * _SLACK
        try:
            for chunk in chain([self._first], self._rest):
                self._finish = chunk.finish or self._finish
                self._tokens = chunk.tokens or self._tokens
                self.logprob = chunk.logprob if self.logprob is None else self.logprob
                yield decoder.decode(chunk.text.encode("utf-16-le", "surrogatepass"))
                # thoughts in a field of their own have no text, but a token each
                left -= max(_TOKEN_BYTES, len(chunk.text.encode(errors="replace")))
                if left < 0:
                    self.broken = f"the reply went on after {self._most_tokens} tokens and was cut"
                    break
        except Exception as error:
            failure = to_model_error(error, self._model, self._secrets)
            self.broken = f"the reply was cut off: {failure}"
            if not self.text.strip():
                raise failure from error
        finally:
            self.close()
            self.ended = time.perf_counter()
        yield decoder.decode(b"", final=True)

    def _conclude(self) -> None:
        """Drop repetitions and unmarked thoughts, and note whether the reply is whole."""
        answer = drop_unopened_thoughts(self.text)
        if answer is not None:
            self.text, self.restarted = answer, True
        end = find_repetition(self.text)
        if end is not None:
            self.text, self.restarted = self.text[:end], True
            self.broken = "the model repeated itself"
        self.broken = self.broken or _INCOMPLETE.get(self._finish, "")
        if not self.text.strip():
            hint = f" ({self.broken})" if self.broken else ""
            self.broken = self.broken or "the reply is empty"
            raise ReplyRejected(
                f"The model {self._model} gave an empty reply{hint}. Ask again, or check that the "
                "server speaks OpenAI's protocol.",
                self.usage,
            )
