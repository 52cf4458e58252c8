"""Query engine for LlamaIndex: checked answers inside its routers, tools, agents and evaluators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import Response

from rag.citations.citation import to_json_values
from rag.retrieval.llama_index import make_node

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llama_index.core.prompts.mixin import PromptMixin
    from llama_index.core.schema import NodeWithScore, QueryBundle

    from rag.answer.answer import Answer
    from rag.papers import Paper


class PapertrailQueryEngine(BaseQueryEngine):
    """Answers as `Assistant.ask` does. A response comes when it has been checked, not streamed.

    Its text has markers such as [1]. Each source node is a cited paper: its metadata has the shown
    `number`, the `quotes` and the `verdicts` of the statements that cite it. The metadata of the
    response is `Answer.to_dict()`, whose `status` tells an abstention.
    """

    def __init__(
        self, ask: Callable[[str], Answer], aask: Callable[[str], Awaitable[Answer]]
    ) -> None:
        """Wrap a function that answers, and one that does so in async code."""
        super().__init__(callback_manager=None)
        self._ask = ask
        self._aask = aask

    def _get_prompt_modules(self) -> dict[str, PromptMixin]:
        return {}  # its prompts are files

    def _query(self, query_bundle: QueryBundle) -> Response:
        return make_response(self._ask(query_bundle.query_str))

    async def _aquery(self, query_bundle: QueryBundle) -> Response:
        return make_response(await self._aask(query_bundle.query_str))


def make_response(answer: Answer) -> Response:
    """Return an answer as LlamaIndex's response."""
    nodes = [_make_source(number, paper, answer) for number, paper in answer.sources.items()]
    return Response(answer.text, source_nodes=nodes, metadata=answer.to_dict())


def _make_source(number: int, paper: Paper, answer: Answer) -> NodeWithScore:
    cited = [
        (statement.text, citation)
        for statement in answer.statements
        for citation in statement.citations
        if citation.number == number
    ]
    verdicts = [
        {"statement": text, "verdict": each.verdict, "by": each.by, "reason": each.reason}
        for text, each in cited
    ]
    scores = [hit.score for hit in answer.hits if hit.paper.id == paper.id]
    quotes = dict.fromkeys(quote for _, each in cited for quote in each.quotes)
    details = {
        "number": number,
        "quotes": [to_json_values(quote) for quote in quotes],
        "verdicts": verdicts,
    }
    return make_node(paper, scores[0] if scores else None, **details)
