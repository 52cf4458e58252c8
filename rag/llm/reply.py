"""A model's reply as it comes: its text without thoughts, its tokens, and whether it is whole."""

from __future__ import annotations

import codecs
import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rag.errors import ModelError, ModelReplyInvalid
from rag.llm.errors import to_model_error
from rag.llm.thinking import ThoughtFilter, behind_lone_close
from rag.llm.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from httpx import Response
    from llama_index.core.base.llms.types import ChatResponse


@dataclass(frozen=True, slots=True)
class Usage:
    """What language models were asked for; all 0 in quotes mode.

    Attributes:
        calls: requests that were answered.
        prompt_tokens: read by the model.
        completion_tokens: written by it.
        estimated: whether some tokens were counted here, for want of the server's figures.
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
_MOST_TOKENS = 10**12  # no call has more; NaN and infinity are no counts either
_FAILED = ("error", "abort")  # what servers give as finish_reason when they fail in mid-reply


class Reply:
    """A reply as it comes: iterate it for the text; the rest is known when it has ended.

    Attributes:
        text: what came so far, without thoughts.
        usage: of the call.
        broken: why the reply is not whole (cut, length limit, filter), else empty.
        restarted: whether text that was handed out turned out to be thought.
    """

    def __init__(
        self,
        chunks: Iterator[ChatResponse],
        prompt_tokens: int,
        *,
        model: str,
        secrets: Sequence[str],
        response: Response | None,
    ) -> None:
        self.text = ""
        self.broken = ""
        self.restarted = False
        self._chunks = chunks
        self._model = model
        self._secrets = secrets
        self._prompt_tokens = prompt_tokens
        self._raw_length = 0
        self._counted: tuple[int, int] | None = None
        self._finish: str | None = None
        self._tells_finish = False
        self._ended = False
        self._response = response

    def __iter__(self) -> Iterator[str]:
        thoughts = ThoughtFilter()
        # JSON can hold halves of characters, which nothing can encode: halves that belong together
        # are joined, also over two chunks, and others replaced.
        decoder = codecs.getincrementaldecoder("utf-16-le")("replace")
        try:
            for chunk in self._chunks:
                delta = decoder.decode((chunk.delta or "").encode("utf-16-le", "surrogatepass"))
                self._raw_length += len(delta)
                self._notice(chunk)
                if shown := thoughts.feed(delta):
                    self.text += shown
                    yield shown
            self._ended = True
        except Exception as error:  # noqa: BLE001 - every vendor has errors of its own
            self._break(to_model_error(error, self._model, self._secrets), error)
        finally:
            self.close()
        if rest := thoughts.feed(decoder.decode(b"", final=True)) + thoughts.finish():
            self.text += rest
            yield rest
        self._end()

    def close(self) -> None:
        """Ends the request at once; harmless when the reply has ended."""
        if self._ended:
            return
        self._ended = True
        close = getattr(self._chunks, "close", None)
        if close:
            close()
        if self._response is not None:
            self._response.close()
        else:  # a client may hold its connection in a cycle, which only the collector lets go of
            gc.collect()

    @property
    def usage(self) -> Usage:
        """The server's figures, or ours where it gives none."""
        if self._counted:
            return Usage(1, *self._counted)
        written = self._raw_length - len(self.text)  # thoughts: about four characters a token
        return Usage(1, self._prompt_tokens, count_tokens(self.text) + written // 4, estimated=True)

    def _notice(self, chunk: ChatResponse) -> None:
        raw = chunk.raw
        choices = getattr(raw, "choices", None)
        if isinstance(choices, list):
            self._tells_finish = True
            if choices and choices[0].finish_reason:
                self._finish = choices[0].finish_reason
        usage = getattr(raw, "usage", None)
        counts: list[Any] = [
            getattr(usage, f"{kind}_tokens", None) for kind in ("prompt", "completion")
        ]
        if all(isinstance(n, int | float) and 0 <= n < _MOST_TOKENS for n in counts):
            self._counted = (int(counts[0]), int(counts[1]))

    def _break(self, failure: ModelError, error: Exception) -> None:
        if not self.text.strip():
            raise failure from error
        self.broken = f"the reply was cut off: {failure}"

    def _end(self) -> None:
        behind = behind_lone_close(self.text)
        if behind is not None:
            self.text, self.restarted = behind, True
        if not self.broken:
            self.broken = self._why_not_whole()
        if not self.text.strip():
            why = self.broken or "check that the server speaks this protocol, or ask again"
            raise ModelReplyInvalid(f"The model {self._model} gave an empty reply; {why}.")

    def _why_not_whole(self) -> str:
        if self._finish == "length":
            return "the reply reached the model's length limit"
        if self._finish == "content_filter":
            return "the server's content filter cut the reply"
        if self._finish in _FAILED:
            return "the server failed before the reply was whole"
        if self._tells_finish and self._finish is None:
            return "the connection ended before the reply did"
        return ""
