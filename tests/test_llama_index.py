"""LlamaIndex as the bridge: its models and embedders here, this library in its engines."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from model_server import ModelServer, Step
from scripted_llms import KeyEcho, Methods, Scripted, Speller, ToolUser, Waiting, WordEmbedding

from eval.provenance import identity
from rag import Assistant, Filter, Paper, from_llama_index, load_settings
from rag.embedding import encode_question, make_embedder
from rag.errors import ModelRejected, ModelReplyInvalid, ModelUnavailable, RagError, SettingsError
from rag.llm import Message, Stop, adapt_llm, make_chat_model, make_judge_model

PROMPT = [Message("system", "Be brief."), Message("user", "How is it?")]
KEY = "sk-provider-12345"
QUESTION = "what does ZORP attend to?"
PAPERS = [
    Paper("a-1", "ZORP: Sparse Attention", "We propose ZORP. It attends to few tokens.", year=2021),
    Paper("b-2", "Bread", "Bread needs time. It rises at 24 degrees.", year=2019),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    with Assistant.build(PAPERS, tmp_path_factory.mktemp("shared") / "library") as assistant:
        yield assistant


def named(kind, **arguments):
    return make_chat_model(load_settings(llm=f"scripted_llms.{kind}", llm_args=arguments))


# A model that a caller passes in


def test_model_is_asked_like_any_other():
    chat = adapt_llm(Speller())
    assert (chat.name, chat.window) == ("speller", 5000)
    assert adapt_llm(Speller(), window=2000).window == 2000
    reply = chat.complete(PROMPT)
    assert (reply.text, reply.usage.estimated, reply.broken) == ("Fine.", True, "")


def test_model_fails_with_our_errors():
    with pytest.raises(ModelUnavailable, match=r"speller failed \(RuntimeError: first line\)"):
        adapt_llm(Speller(word="!")).complete(PROMPT)
    reply = adapt_llm(Speller(word="Fine!")).reply(PROMPT)
    assert "".join(reply) == "Fine"
    assert "first line" in reply.broken
    with pytest.raises(ModelReplyInvalid, match="empty reply"):
        adapt_llm(Speller(word="")).complete(PROMPT)


def test_model_that_is_away_fails_when_it_is_asked():
    chat = named("Away")
    assert (chat.name, chat.window) == ("unknown", 8192)
    with pytest.raises(ModelUnavailable, match="Cannot reach the model unknown"):
        chat.complete(PROMPT)


@pytest.mark.parametrize(
    "method", ["stream_chat", "chat", "astream_chat", "achat", "stream_complete", "complete"]
)
def test_model_with_a_single_method_is_enough(method):
    llm = Methods(has=method)
    chat = adapt_llm(llm)
    assert chat.complete(PROMPT).text == "One. Two."
    asked = len(llm._prompts)
    assert chat.complete(PROMPT).text == "One. Two."
    assert [name for name, _ in llm._prompts[asked:]] == [method]  # the others are not tried again
    assert "Be brief." in str(llm._prompts[-1][1])


def test_model_without_any_method_is_refused():
    with pytest.raises(RagError, match="methods can neither chat nor complete"):
        adapt_llm(Methods(has="")).complete(PROMPT)


def test_model_that_refuses_system_messages_gets_their_text_from_the_user():
    llm = Methods(has="chat", refuses_system=True)
    chat = adapt_llm(llm)
    for _ in range(2):
        assert chat.complete(PROMPT).text == "One. Two."
    prompts = [prompt for name, prompt in llm._prompts if name == "chat"]
    roles = [[message.role.value for message in prompt] for prompt in prompts]
    assert roles == [["system", "user"], ["user"], ["user"]]
    assert prompts[-1][0].content == "Be brief.\n\nHow is it?"


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        ({"usage": {"input_tokens": 5, "output_tokens": 3}}, {}),
        ({"prompt_eval_count": 5, "eval_count": 3}, {}),
        (None, {"prompt_tokens": 5, "completion_tokens": 3}),
    ],
)
def test_token_figures_of_providers_are_read(raw, usage):
    reply = adapt_llm(Methods(has="chat", raw=raw, usage=usage)).complete(PROMPT)
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (5, 3)
    assert not reply.usage.estimated


@pytest.mark.parametrize(
    "raw",
    [
        {"stop_reason": "max_tokens"},
        {"done_reason": "length"},
        {"delta": {"stop_reason": "max_tokens"}},
        {"candidates": [{"finish_reason": "MAX_TOKENS"}]},
    ],
)
def test_reply_that_reached_its_limit_is_not_whole(raw):
    reply = adapt_llm(Methods(has="chat", raw=raw)).reply(PROMPT)
    assert "".join(reply) == "One. Two."
    assert "length limit" in reply.broken


def test_stop_ends_the_wait_for_a_model_at_once():
    llm = Waiting()
    with Stop() as stop:
        reply = iter(adapt_llm(llm).reply(PROMPT))
        assert next(reply) == "Wait"
        stop.set()
        assert list(reply) == []  # although the model has not gone on
    llm._go.set()
    assert llm._closed.wait(30)  # and it ends with its next word


# A class that the settings name


def test_settings_name_a_class_and_its_arguments(tmp_path, monkeypatch):
    assert named("Speller", word="Yes.").complete(PROMPT).text == "Yes."
    config = tmp_path / "config.toml"
    config.write_text('llm = "scripted_llms.Speller"\n[llm_args]\nword = "File."\n')
    assert make_chat_model(load_settings(config)).complete(PROMPT).text == "File."
    monkeypatch.setenv("PAPERTRAIL_LLM_ARGS", '{"word": "Variable."}')
    assert make_chat_model(load_settings(config)).complete(PROMPT).text == "Variable."
    # a class in a later layer takes no arguments of an earlier one
    assert (
        make_chat_model(load_settings(config, llm="scripted_llms.Speller")).complete(PROMPT).text
        == "Fine."
    )


def test_later_layers_choose_between_a_class_and_a_server(monkeypatch):
    monkeypatch.setenv("PAPERTRAIL_CHAT_MODEL", "m-1")
    assert load_settings(llm="scripted_llms.Speller").chat_model is None
    monkeypatch.delenv("PAPERTRAIL_CHAT_MODEL")
    monkeypatch.setenv("PAPERTRAIL_LLM", "scripted_llms.Speller")
    settings = load_settings(chat_model="m-1")
    assert (settings.llm, settings.writer) == (None, "m-1")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"llm": "a.B", "chat_model": "m"}, r"Both llm \(from argument\) and chat_model"),
        ({"llm": "a.B", "chat_url": "http://127.0.0.1:1/v1"}, "address in --llm-args"),
        ({"llm_args": {"model": "m"}}, "no class. Name one with --llm"),
        ({"llm": "speller"}, "is not the dotted name of a class"),
        ({"llm": "scripted_llms.NoModel"}, "no class that extends LlamaIndex's LLM"),
        ({"llm": "scripted_llms.not_a_model"}, "no class that extends LlamaIndex's LLM"),
        ({"llm": "scripted_llms.NOT_A_MODEL"}, "no class that extends LlamaIndex's LLM"),
        ({"llm": "scripted_llms.WordEmbedding"}, "no class that extends LlamaIndex's LLM"),
        ({"llm": "scripted_llms.Missing"}, "no class that extends LlamaIndex's LLM"),
        ({"llm": "os.system"}, "no class that extends LlamaIndex's LLM"),
        ({"llm": "llama_index.core.llms.LLM"}, "no class that extends LlamaIndex's LLM"),
        ({"llm": "llama_index.llms.some_vendor.X"}, "pip install llama-index-llms-some-vendor$"),
        ({"llm": "no_such_package.X"}, "There is no module no_such_package. Install the package"),
    ],
)
def test_other_names_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        make_chat_model(load_settings(**settings))


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("Speller", {"wrod": "x"}, "Speller has no argument wrod. Did you mean word?"),
        ("Speller", {"colour": "x"}, "Speller has no argument colour. Remove it from llm_args."),
        ("Speller", {"word": [KEY]}, r"Speller cannot be made \(word: .*\). Correct llm_args"),
        ("Picky", {}, r"Picky cannot be made \(.*'model'\). Correct llm_args \(--llm-args\)"),
        ("Picky", {"modle": "x"}, "Picky has no argument modle. Did you mean model?"),
        ("Picky", {"model": "unknown", "api_key": KEY}, r"no model unknown for .*\*\*\*"),
    ],
)
def test_wrong_arguments_are_named(kind, arguments, message):
    with pytest.raises(SettingsError, match=message) as caught:
        named(kind, **arguments)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[1]", '"x"', "{'model': 'm'}"])
def test_arguments_that_are_no_json_object_are_refused(run, text):
    error = run("ask", "why?", "--llm", "scripted_llms.Speller", "--llm-args", text, status=2)
    assert "Invalid setting llm_args (from argument): it is not" in error


def test_class_gets_room_for_a_reply_and_keeps_what_it_insists_on():
    llm = named("Picky", model="m-1")._client._llm
    assert (llm.max_retries, llm.max_tokens) == (3, 100)  # it refused not to retry
    llm = named("Picky", model="m-1", max_tokens=7, max_retries=2)._client._llm
    assert (llm.max_retries, llm.max_tokens) == (2, 7)


def test_judge_is_the_same_model():
    settings = load_settings(llm="scripted_llms.Speller", llm_args={"word": "Judged."})
    assert make_judge_model(settings).complete(PROMPT).text == "Judged."


# A class of a package of its own, and a server that follows a script

OPENAI_LIKE = "llama_index.llms.openai_like.OpenAILike"


def serve_with(server, **more):
    arguments = {"model": "m-1", "api_base": server.url, "api_key": KEY, "is_chat_model": True}
    return make_chat_model(load_settings(llm=OPENAI_LIKE, llm_args=arguments, **more))


def test_installed_package_is_used():
    with ModelServer(Step("Served.")) as server:
        chat = serve_with(server)
        reply = chat.complete(PROMPT)
    assert (chat.name, reply.text, reply.broken) == ("m-1", "Served.", "")
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert [message["role"] for message in server.requests[0]["messages"]] == ["system", "user"]


def test_failures_of_a_package_are_retried_in_one_place():
    with ModelServer(Step("busy", status=500), Step("Served.")) as server:
        assert serve_with(server, chat_retries=1).complete(PROMPT).text == "Served."
    assert len(server.requests) == 2
    with ModelServer(Step("busy", status=500)) as server:
        with pytest.raises(ModelUnavailable, match="HTTP 500: busy"):
            serve_with(server, chat_retries=0).complete(PROMPT)
        assert len(server.requests) == 1


def test_key_of_openai_goes_to_no_other_server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    arguments = {"model": "m-1", "is_chat_model": True, "api_base": "http://127.0.0.1:1/v1"}
    with pytest.raises(SettingsError, match=r"would send OPENAI_API_KEY to 127\.0\.0\.1") as caught:
        make_chat_model(load_settings(llm=OPENAI_LIKE, llm_args=arguments))
    assert KEY not in str(caught.value)
    arguments["api_key"] = "none"
    settings = load_settings(llm=OPENAI_LIKE, llm_args=arguments)
    assert make_chat_model(settings)._client._llm.api_key == "none"
    arguments |= {"api_base": "https://api.openai.com/v1"}
    del arguments["api_key"]
    settings = load_settings(llm=OPENAI_LIKE, llm_args=arguments)
    assert make_chat_model(settings)._client._llm.api_key == KEY


def test_key_may_stand_in_a_variable(monkeypatch):
    settings = load_settings(llm="scripted_llms.KeyEcho", llm_args={"api_key": "env:MY_TEST_KEY"})
    with pytest.raises(SettingsError, match="llm_args names env:MY_TEST_KEY, which is not set"):
        make_chat_model(settings)
    monkeypatch.setenv("MY_TEST_KEY", KEY)
    assert make_chat_model(settings)._client._llm.api_key.get_secret_value() == KEY


def test_refusal_of_a_package_hides_the_key():
    refused = pytest.raises(ModelRejected, match=r"HTTP 401: wrong key \*\*\*")
    with ModelServer(Step(f"wrong key {KEY}", status=401)) as server, refused as caught:
        serve_with(server).complete(PROMPT)
    assert KEY not in str(caught.value)


def test_cut_reply_of_a_package_is_not_whole():
    with ModelServer(Step("It is fine and well.", cut_after=2)) as server:
        reply = serve_with(server).reply(PROMPT)
        assert "".join(reply) == "It is f"  # the first piece is without text
    assert "cut off" in reply.broken


def test_stop_hangs_up_on_the_server_of_a_package():
    with ModelServer(Step("word " * 4000, size=5, between_s=0.005)) as server, Stop() as stop:
        reply = iter(serve_with(server).reply(PROMPT))
        next(reply)
        stop.set()
        list(reply)
        assert server.disconnected.wait(30)


# Keys


def test_keys_are_in_no_error_no_trace_and_no_listing(run, library, no_judge, monkeypatch):
    other = "ya29-environment-key"
    monkeypatch.setenv("SOME_VENDOR_API_KEY", other)
    arguments = json.dumps({"api_key": KEY, "account": {"secret": "hush-hush-hush", "id": "me"}})
    index = str(library.folder)
    options = ("--llm", "scripted_llms.KeyEcho", "--llm-args", arguments, "--index", index)
    question = f"what is {other}?"
    shown = [
        run("info", *options),
        run("info", "--json", *options),
        run("info", "--check", *options, status=3),
        run("ask", question, "--trace", *options),
        run("ask", question, "--json", *options),
    ]
    assert '"id": "me"' in shown[0]
    assert "scripted_llms.KeyEcho" in shown[0]
    assert "The key *** of" in shown[2]
    settings = load_settings(llm="scripted_llms.KeyEcho", llm_args=arguments)
    with Assistant.open(library.folder, settings=settings) as assistant:
        provenance = identity(assistant, [], no_judge)
    assert provenance["settings"]["llm_args"]["account"]["id"] == "me"
    for text in (*shown, repr(settings), json.dumps(provenance)):
        assert KEY not in text
        assert "hush-hush" not in text
    with pytest.raises(ModelUnavailable) as caught:
        adapt_llm(KeyEcho(api_key=KEY)).complete([Message("user", other)])
    assert str(caught.value).count("***") == 2


# An embedder that the settings name

WORDS = "scripted_llms.WordEmbedding"


def embedder(**arguments):
    return make_embedder(load_settings(embedder=WORDS, embedder_args=arguments))


def test_embedder_reads_questions_as_its_class_does():
    # "bab" has one a and two b, behind the constant 1 of a text and 2 of a question.
    model = embedder(letters="ab")
    assert np.allclose(model.embed(["bab"]), [np.array([1, 1, 2]) / 6**0.5])
    assert np.allclose(encode_question(model, "bab").vector, np.array([2, 1, 2]) / 3)


def test_embedder_is_named_by_what_decides_its_vectors():
    arguments = {"model_name": "w", "embed_batch_size": 5, "api_key": KEY, "letters": "ab"}
    assert embedder(**arguments).name == f'{WORDS} {{"letters": "ab", "model_name": "w"}}'
    assert embedder().name == f"{WORDS} {{}}"
    # an index that was built with this object before keeps fitting
    model = WordEmbedding(model_name="w")
    assert from_llama_index(model).name == f"{model.class_name()}/w"


def test_index_says_which_class_it_needs(run, tmp_path):
    arguments = json.dumps({"model_name": "w", "api_key": KEY})
    source = tmp_path / "papers.jsonl"
    rows = [{"title": paper.title, "abstract": paper.abstract} for paper in PAPERS]
    source.write_text("\n".join(map(json.dumps, rows)))
    options = ("--embedder", WORDS, "--embedder-args", arguments, "--index", "./words")
    run("index", str(source), *options)
    assert "few tokens" in run("ask", QUESTION, *options)
    error = run("ask", QUESTION, "--index", "./words", status=2)
    assert f'embedder name {WORDS} {{"model_name": "w"}}' in error
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for text in (error, run("info", *options), run("info", "--json", *options), str(stored)):
        assert KEY not in text


def test_embedder_fails_with_our_errors_without_its_key():
    with pytest.raises(ModelUnavailable, match=r"The key \*\*\* is wrong") as caught:
        embedder(api_key=KEY).embed(["fail"])
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embedder": "models"}, "there is no such folder"),
        ({"embedder": "models.v2"}, "which is no folder, cannot be imported"),
        ({"embedder": "scripted_llms.Speller"}, "no class that extends LlamaIndex's BaseEmbedding"),
        ({"embedder": WORDS, "embedder_args": {"lettres": "a"}}, "Did you mean letters?"),
        ({"embedder_args": {"letters": "a"}}, "no class. Name one of LlamaIndex with --embedder"),
        (
            {"embedder": "llama_index.embeddings.open_ai.X"},
            "pip install llama-index-embeddings-open-ai$",
        ),
    ],
)
def test_other_embedders_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        make_embedder(load_settings(**settings))


def test_a_module_that_exits_while_it_is_imported_is_refused(tmp_path, monkeypatch):
    (tmp_path / "module_that_exits.py").write_text("raise SystemExit(0)")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError, match=r"module_that_exits.Model.* cannot be imported"):
        make_chat_model(load_settings(llm="module_that_exits.Model"))


# This library in LlamaIndex

ABOUT = "Answers questions about papers."
SELECT = '[{"choice": 1, "reason": "it is about papers"}]'
SPLIT = """```json
{"items": [{"sub_question": "what does ZORP attend to?", "tool_name": "library"}]}
```"""


@pytest.fixture
def tool(library):
    from llama_index.core.tools import QueryEngineTool

    return QueryEngineTool.from_defaults(
        library.as_query_engine(), name="library", description=ABOUT
    )


def check_response(response):
    """Check that a response quotes what ZORP attends to, with all that belongs to it."""
    assert "It attends to few tokens." in str(response)
    assert "[1]" in str(response)
    node = response.source_nodes[0]
    assert (node.node.node_id, node.metadata["number"]) == ("a-1", 1)
    assert "It attends to few tokens." in [each["text"] for each in node.metadata["quotes"]]
    assert {"quoted"} == {each["verdict"] for each in node.metadata["verdicts"]} - {None}
    assert node.score is not None


def test_query_engine_gives_text_sources_quotes_and_verdicts(library):
    from llama_index.core.schema import MetadataMode

    engine = library.as_query_engine()
    response = engine.query(QUESTION)
    check_response(response)
    assert response.metadata["status"] == "answered"
    assert response.metadata["statements"][-1]["verdict"] == "quoted"
    assert str(response) == library.ask(QUESTION).text
    shown = response.source_nodes[0].get_content(MetadataMode.LLM)
    assert "ZORP: Sparse Attention" in shown
    assert "verdicts" not in shown  # metadata for programs, not for prompts
    check_response(asyncio.run(engine.aquery(QUESTION)))


def test_query_engine_shows_that_it_abstains(library):
    response = library.as_query_engine().query("which telescope found the exoplanet?")
    assert response.metadata["status"] == "abstained"
    assert "no clear answer" in str(response).lower()


def test_query_engine_takes_a_filter(library):
    engine = library.as_query_engine(where=Filter(years=(None, 2019)), k=1)
    assert {node.node.node_id for node in engine.query(QUESTION).source_nodes} <= {"b-2"}
    with pytest.raises(SettingsError):
        library.as_query_engine(k=0)


def test_query_engine_says_what_a_model_writes_and_checks(library):
    verdict = "1 | s3 | supported | attends means looks"
    writer = Scripted(replies=["{}", "ZORP looks at few tokens [1].", verdict])
    with Assistant.open(library.folder, llm=writer) as assistant:
        response = assistant.as_query_engine().query(QUESTION)
    assert str(response) == "ZORP looks at few tokens [1]."
    assert response.metadata["mode"] == "model"
    (said,) = response.source_nodes[0].metadata["verdicts"]
    assert (said["statement"], said["verdict"]) == ("ZORP looks at few tokens.", "supported")
    assert said["by"] == "scripted"


def test_retriever_answers_in_an_engine(library):
    from llama_index.core.query_engine import RetrieverQueryEngine

    llm = Scripted(replies=["To few tokens."])
    engine = RetrieverQueryEngine.from_args(library.as_retriever(k=1), llm=llm)
    response = engine.query(QUESTION)
    assert str(response) == "To few tokens."
    assert [node.metadata["paper_id"] for node in response.source_nodes] == ["a-1"]
    assert "We propose ZORP." in llm._prompts[0]
    nodes = asyncio.run(library.as_retriever(k=1).aretrieve(QUESTION))
    assert [node.node.node_id for node in nodes] == ["a-1"]


def test_retriever_answers_in_a_citation_engine(library):
    from llama_index.core.query_engine import CitationQueryEngine

    llm = Scripted(replies=["To few tokens [1]."])
    response = CitationQueryEngine(library.as_retriever(k=1), llm=llm).query(QUESTION)
    assert str(response) == "To few tokens [1]."
    assert "Source 1:\nWe propose ZORP." in llm._prompts[0]


def test_router_chooses_the_query_engine(tool):
    from llama_index.core.query_engine import RouterQueryEngine
    from llama_index.core.selectors import LLMSingleSelector

    llm = Scripted(replies=[SELECT])
    router = RouterQueryEngine.from_defaults(
        [tool], llm=llm, selector=LLMSingleSelector.from_defaults(llm)
    )
    check_response(router.query(QUESTION))


def test_sub_questions_go_to_the_query_engine(tool):
    from llama_index.core.query_engine import SubQuestionQueryEngine
    from llama_index.core.question_gen import LLMQuestionGenerator
    from llama_index.core.response_synthesizers import get_response_synthesizer

    llm = Scripted(replies=[SPLIT, "To few tokens."])
    engine = SubQuestionQueryEngine.from_defaults(
        [tool],
        llm=llm,
        question_gen=LLMQuestionGenerator.from_defaults(llm),
        response_synthesizer=get_response_synthesizer(llm=llm),
        verbose=False,
    )
    response = engine.query("Where does ZORP look?")
    assert str(response) == "To few tokens."
    assert "It attends to few tokens." in llm._prompts[1]
    assert "a-1" in {node.node.node_id for node in response.source_nodes}


def test_tools_give_answers_and_papers(library, tool):
    from llama_index.core.tools import RetrieverTool

    output = tool.call(input=QUESTION)
    check_response(output.raw_output)
    assert "It attends to few tokens." in output.content
    found = RetrieverTool.from_defaults(library.as_retriever(k=1), name="papers", description=ABOUT)
    assert "We propose ZORP." in found.call(QUESTION).content


@pytest.mark.parametrize("kind", ["function", "react"])
def test_agents_ask_the_library(tool, kind):
    from llama_index.core.agent.workflow import FunctionAgent, ReActAgent

    if kind == "function":
        llm = ToolUser(replies=[QUESTION, "To few tokens."])
        agent = FunctionAgent(tools=[tool], llm=llm, system_prompt=ABOUT)
    else:
        call = f'Thought: I ask.\nAction: library\nAction Input: {{"input": "{QUESTION}"}}'
        llm = Scripted(replies=[call, "Thought: I know.\nAnswer: To few tokens."])
        agent = ReActAgent(tools=[tool], llm=llm)

    async def ask():
        return await agent.run(user_msg="Where does ZORP look?")

    result = asyncio.run(ask())
    assert str(result) == "To few tokens."
    check_response(result.tool_calls[0].tool_output.raw_output)
    assert "It attends to few tokens." in llm._prompts[-1]


def test_evaluators_judge_answers_and_papers(library):
    from llama_index.core.evaluation import FaithfulnessEvaluator, RetrieverEvaluator

    llm = Scripted(replies=["YES", "NO"])
    response = library.as_query_engine().query(QUESTION)
    evaluator = FaithfulnessEvaluator(llm=llm)
    results = [evaluator.evaluate_response(response=response) for _ in range(2)]
    assert [result.passing for result in results] == [True, False]
    assert "We propose ZORP." in llm._prompts[0]
    measure = RetrieverEvaluator.from_metric_names(
        ["hit_rate", "mrr"], retriever=library.as_retriever(k=2)
    )
    result = measure.evaluate(QUESTION, expected_ids=["a-1"])
    assert result.metric_vals_dict == {"hit_rate": 1.0, "mrr": 1.0}


def reply_to_page(body):
    """Answer what the code of the page asks a model."""
    asked = str(body["messages"])
    if "Thought:" in asked:  # of the agent
        return Step("Thought: I know.\nAnswer: To few tokens.")
    if "One line for each statement" in asked:
        return Step("1 | s3 | supported | attends means looks")
    text = "ZORP looks at few tokens [1]."
    if body.get("stream"):
        return Step(text)
    whole = {"choices": [{"message": {"role": "assistant", "content": text}}]}  # of an engine
    return Step(raw=json.dumps(whole).encode(), content_type="application/json")


def test_code_of_the_page_runs(library, monkeypatch, capsys):
    page = Path(__file__).parent.parent / "docs" / "llama_index.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    monkeypatch.setenv("PAPERTRAIL_INDEX", str(library.folder))
    with ModelServer(reply_to_page) as server:
        code = "\n".join(blocks).replace("http://127.0.0.1:11434/v1", server.url)
        code = code.replace("what is dropout?", QUESTION)
        names: dict = {}
        exec(compile(code, page.name, "exec"), names)
        names["assistant"].close()
    printed = capsys.readouterr().out
    assert printed.count("ZORP looks at few tokens [1].") == 3
    assert "1 ZORP: Sparse Attention" in printed
    assert "'verdict': 'supported'" in printed
    assert "To few tokens." in printed


def test_nothing_of_llama_index_is_imported_unless_it_is_used(tmp_path):
    script = (
        "import sys\n"
        "from rag import Assistant, Paper\n"
        "with Assistant.build([Paper('a', 'T', 'It works.')], sys.argv[1]) as library:\n"
        "    library.ask('what works?')\n"
        "print([name for name in sys.modules if name.startswith('llama_index')])\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "lib")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
