"""LlamaIndex models that follow a script, for settings to name by their class."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
)
from llama_index.core.llms import LLM, CustomLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from pydantic import PrivateAttr, SecretStr

NOT_A_MODEL = json.loads


def not_a_model(**arguments):
    raise AssertionError("only classes of models may be called")


class NoModel:
    """Is no LlamaIndex model, and says that it is one."""

    __class__ = LLM

    def __init__(self, **arguments):
        not_a_model()


class Speller(CustomLLM):
    """Spells a word letter by letter. "!" fails."""

    word: str = "Fine."

    @property
    def metadata(self):
        return LLMMetadata(model_name="speller", context_window=5000)

    def complete(self, prompt, formatted=False, **options):
        raise NotImplementedError

    def stream_complete(self, prompt, formatted=False, **options):
        for letter in self.word:
            if letter == "!":
                raise RuntimeError("first line\nsecond line")
            yield CompletionResponse(text="", delta=letter)


class KeyEcho(Speller):
    """Fails with its key, as some providers do."""

    api_key: SecretStr
    account: dict | None = None

    def stream_complete(self, prompt, formatted=False, **options):
        key = self.api_key.get_secret_value()
        raise RuntimeError(f"The key {key} of {self.account} is wrong: {prompt}")
        yield


class Picky(Speller):
    """Needs a model's name and cannot be told to retry nothing."""

    model: str
    max_tokens: int = 100
    max_retries: int = 3

    def __init__(self, model: str, max_retries: int = 3, max_tokens: int = 100, **more: Any):
        if max_retries < 1:
            raise ValueError("max_retries must be positive")
        if model == "unknown":
            raise ValueError(f"no model {model} for {more}")
        super().__init__(model=model, max_retries=max_retries, max_tokens=max_tokens, **more)


class Away(Speller):
    """Asks its server for its metadata, and the server is away."""

    @property
    def metadata(self):
        raise ConnectionError("no server")

    def stream_complete(self, prompt, formatted=False, **options):
        raise ConnectionError("no server")
        yield


class Methods(LLM):
    """Has only the methods that it is told to have, and notes the prompts it gets.

    With `refuses_system` it fails where a message has the role "system".
    """

    has: str
    refuses_system: bool = False
    raw: Any = None
    usage: dict | None = None
    _prompts: list = PrivateAttr(default_factory=list)

    @property
    def metadata(self):
        return LLMMetadata(model_name="methods", is_chat_model="chat" in self.has)

    def _take(self, method, prompt):
        self._prompts.append((method, prompt))
        if method != self.has:
            raise NotImplementedError
        if self.refuses_system and any(message.role == "system" for message in prompt):
            raise ValueError("Error 400: this model does not take the role 'system'.")

    def _chat(self, text, delta=None):
        message = ChatMessage(role="assistant", content=text)
        return ChatResponse(
            message=message, delta=delta, raw=self.raw, additional_kwargs=self.usage or {}
        )

    def chat(self, messages, **options):
        self._take("chat", messages)
        return self._chat("One. Two.")

    def stream_chat(self, messages, **options):
        self._take("stream_chat", messages)
        yield self._chat("One.")  # without deltas, the whole text each time
        yield self._chat("One. Two.")

    async def achat(self, messages, **options):
        self._take("achat", messages)
        return self._chat("One. Two.")

    async def astream_chat(self, messages, **options):
        self._take("astream_chat", messages)

        async def respond():
            yield self._chat("One.", "One.")
            await asyncio.sleep(0)
            yield self._chat("One. Two.", " Two.")

        return respond()

    def complete(self, prompt, formatted=False, **options):
        self._take("complete", prompt)
        return CompletionResponse(text="One. Two.", raw=self.raw)

    def stream_complete(self, prompt, formatted=False, **options):
        self._take("stream_complete", prompt)
        yield CompletionResponse(text="One.", delta="One.")
        yield CompletionResponse(text="One. Two.", delta=" Two.")

    async def acomplete(self, prompt, formatted=False, **options):
        raise NotImplementedError

    async def astream_complete(self, prompt, formatted=False, **options):
        raise NotImplementedError


class Waiting(Speller):
    """Says a word, and then nothing until `go` is set."""

    _go: Any = PrivateAttr(default_factory=threading.Event)
    _closed: Any = PrivateAttr(default_factory=threading.Event)

    def stream_complete(self, prompt, formatted=False, **options):
        try:
            yield CompletionResponse(text="", delta="Wait")
            self._go.wait(60)
            yield CompletionResponse(text="", delta="ed.")
        finally:
            self._closed.set()


class WordEmbedding(BaseEmbedding):
    """Counts letters. Questions get another vector than texts do, as many models want it."""

    letters: str = "abcdefghijklmnopqrstuvwxyz"
    api_key: str = ""

    def _get_text_embedding(self, text):
        if "fail" in text:
            raise RuntimeError(f"The key {self.api_key} is wrong")
        return [1.0, *(float(text.lower().count(letter)) for letter in self.letters)]

    def _get_query_embedding(self, query):
        return [2.0, *self._get_text_embedding(query)[1:]]

    async def _aget_query_embedding(self, query):
        return self._get_query_embedding(query)


class Scripted(CustomLLM):
    """Gives its replies in order and keeps the prompts. Without replies left it fails."""

    replies: list[str]
    _prompts: list = PrivateAttr(default_factory=list)

    @property
    def metadata(self):
        return LLMMetadata(model_name="scripted")

    def complete(self, prompt, formatted=False, **options):
        self._prompts.append(prompt)
        return CompletionResponse(text=self.replies.pop(0))

    def stream_complete(self, prompt, formatted=False, **options):
        text = self.complete(prompt).text
        yield CompletionResponse(text=text, delta=text)


class ToolUser(Scripted, FunctionCallingLLM):
    """Calls its tool with each reply but the last, which it says."""

    @property
    def metadata(self):
        return LLMMetadata(
            model_name="tool-user", is_chat_model=True, is_function_calling_model=True
        )

    def _prepare_chat_with_tools(self, tools, user_msg=None, chat_history=None, **options):
        return {"messages": chat_history, "tools": tools}

    async def astream_chat_with_tools(self, tools, chat_history=None, **options):
        async def respond():
            text = self.complete(str(chat_history[-1].content)).text
            message = ChatMessage(role="assistant", content=text)
            yield ChatResponse(message=message, delta=text)

        return respond()

    def get_tool_calls_from_response(self, response, error_on_no_tool_call=True, **options):
        if not self.replies:
            return []
        question = {"input": response.message.content}
        return [ToolSelection(tool_id="call-1", tool_name="library", tool_kwargs=question)]
