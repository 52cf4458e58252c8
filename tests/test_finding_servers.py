"""Servers of language models on this machine: what each program says, and what hostile ones try."""

from __future__ import annotations

import json
import socket
import time

import pytest
from list_server import ListServer, list_of, send, trickle

from rag import load_settings
from rag.errors import SettingsError
from rag.llm.servers import Server, resolve_server
from rag.llm.setup import FoundModel, describe_server, find_local_servers

OLLAMA = {
    "/v1/models": list_of("llama3.1:8b", "nomic-embed-text:latest", owned_by="library"),
    "/api/tags": {
        "models": [
            {"name": "llama3.1:8b", "size": 4_920_753_328, "details": {"parameter_size": "8.0B"}},
            {"name": "qwen2.5:1.5b", "size": 986_061_892},
            {"name": "nomic-embed-text:latest", "size": 274_302_450},
        ]
    },
    "/api/ps": {"models": [{"name": "llama3.1:8b", "context_length": 16384}]},
}
SHOWN = {
    "llama3.1:8b": {
        "capabilities": ["completion", "tools"],
        "parameters": 'stop    "<|eot_id|>"',
        "model_info": {"general.parameter_count": 8030261312, "llama.context_length": 131072},
    },
    "qwen2.5:1.5b": {
        "capabilities": ["completion"],
        "parameters": "num_ctx                        8192",
        "model_info": {"general.parameter_count": 1543714304, "qwen2.context_length": 32768},
    },
    "nomic-embed-text:latest": {"capabilities": ["embedding"], "model_info": {}},
}
STUDIO = {
    "/v1/models": list_of("qwen2.5-7b-instruct", "text-embedding-nomic-embed-text-v1.5"),
    "/api/v0/models": {
        "data": [
            {
                "id": "qwen2.5-7b-instruct",
                "type": "llm",
                "state": "loaded",
                "max_context_length": 32768,
                "loaded_context_length": 4096,
            },
            {
                "id": "qwen2-vl-7b",
                "type": "vlm",
                "state": "not-loaded",
                "max_context_length": 32768,
            },
            {"id": "text-embedding-nomic-embed-text-v1.5", "type": "embeddings"},
        ]
    },
    "/api/tags": {"error": "Unexpected endpoint or method. (GET /api/tags)"},
}
META = {"n_ctx_train": 32768, "n_params": 1543714304, "size": 1_111_000_000}
LLAMA_CPP = {
    "/v1/models": {
        **list_of("qwen2.5-coder-1.5b-q4_k_m.gguf", owned_by="llamacpp", meta=META),
        "models": [{"name": "qwen2.5-coder-1.5b-q4_k_m.gguf"}],
    },
    "/props": {"default_generation_settings": {"n_ctx": 8192}, "total_slots": 1},
    "/api/tags": {"models": [{"name": "qwen2.5-coder-1.5b-q4_k_m.gguf"}]},
}
VLLM = {"/v1/models": list_of("mistralai/Mistral-7B", owned_by="vllm", max_model_len=32768)}


def show(handler, body):
    send(handler, 200, json.dumps(SHOWN[body["model"]]).encode())


def find(*servers):
    return find_local_servers([("Jan", server.port) for server in servers])


def find_one(answers):
    with ListServer(answers) as server:
        found = find(server)
    assert [each.url for each in found] == [server.url]
    return found[0]


def test_ollama_tells_size_and_the_window_that_it_gives():
    found = find_one(OLLAMA | {"/api/show": show})
    assert found.name == "Ollama"
    assert found.models == (  # the model for embeddings is left out
        FoundModel("llama3.1:8b", 16384, 131072, 8030261312, 4_920_753_328),
        FoundModel("qwen2.5:1.5b", 8192, 32768, 1543714304, 986_061_892),
    )
    assert found.models[0].description == "8.0B, 4.9 GB, window 16,384 of 131,072 tokens"


def test_a_model_of_ollama_that_is_not_loaded_has_the_default_window():
    found = find_one({key: value for key, value in OLLAMA.items() if key != "/api/ps"})
    assert [model.window for model in found.models] == [4096, 4096]  # not the 131,072 it could read


def test_lm_studio_tells_the_window_of_a_loaded_model():
    found = find_one(STUDIO)
    assert (found.name, found.models) == (
        "LM Studio",
        (
            FoundModel("qwen2.5-7b-instruct", 4096, 32768),
            FoundModel("qwen2-vl-7b", None, 32768),
        ),
    )


def test_llama_cpp_is_not_taken_for_the_ollama_that_it_imitates():
    found = find_one(LLAMA_CPP)
    assert found.name == "llama.cpp"
    assert found.models == (
        FoundModel("qwen2.5-coder-1.5b-q4_k_m.gguf", 8192, 32768, 1543714304, 1_111_000_000),
    )


def test_vllm_tells_its_window_and_others_only_names():
    found = find_one(VLLM)
    assert (found.name, found.models) == ("vLLM", (FoundModel("mistralai/Mistral-7B", 32768),))
    other = find_one({"/v1/models": list_of("gemma-3", "bge-reranker", "text-embedding-3")})
    assert (other.name, other.models) == ("Jan", (FoundModel("gemma-3"),))


def test_servers_are_asked_at_once_and_get_no_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-1")
    monkeypatch.setenv("PAPERTRAIL_CHAT_KEY", "sk-secret-2")
    with ListServer(OLLAMA | {"/api/show": show}) as first, ListServer(VLLM) as second:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            ports = [("A", first.port), ("B", closed.getsockname()[1]), ("C", second.port)]
            found = find_local_servers(ports)
        asked = first.requests + second.requests
    assert [each.url for each in found] == [first.url, second.url]
    assert "sk-secret" not in str(asked)
    assert "authorization" not in str(asked).casefold()
    assert set(first.paths + second.paths) == {
        "/v1/models", "/api/v0/models", "/api/tags", "/props", "/api/ps", "/api/show",
    }  # fmt: skip


def test_a_server_that_asks_for_a_key_is_found_without_models():
    def refuse(handler, _body):
        send(handler, 401, b'{"error": "Missing key"}')

    found = find_one({"/v1/models": refuse})
    assert (found.needs_key, found.models) == (True, ())


def test_a_key_goes_to_the_server_that_it_is_for():
    with ListServer(VLLM) as server:
        found = describe_server(Server(server.url, "sk-own"), load_settings())
        (_, headers, _), *_ = server.requests
    assert found.models[0].window == 32768
    assert headers["Authorization"] == "Bearer sk-own"


def redirect(handler, _body):
    send(handler, 302, b"", Location="http://127.0.0.1:9/v1/models")


def flood(handler, _body):
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b'{"data": [')
    while True:
        handler.wfile.write(b'{"id": "a"},' * 10_000)


def compress(handler, _body):
    import gzip

    send(handler, 200, gzip.compress(b"[" * 50_000_000), Content_Encoding="gzip")


@pytest.mark.parametrize(
    "hostile",
    [
        redirect,
        flood,
        compress,
        trickle,
        lambda handler, _: time.sleep(10),
        lambda handler, _: send(handler, 200, b"<html>"),
        lambda handler, _: send(handler, 200, b"[" * 100_000),
        lambda handler, _: send(handler, 200, b"\xff\xfe"),
        lambda handler, _: send(handler, 500, b"{}"),
        lambda handler, _: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n"),
    ],
)
def test_what_is_no_list_of_models_is_no_server(hostile):
    with ListServer({"/v1/models": hostile}) as server, ListServer(VLLM) as good:
        assert [each.url for each in find(server, good)] == [good.url]
        assert [path for path in server.paths if path != "/v1/models"] == []


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, {"data": {}}, {"data": [None, 3, []]}])
def test_lists_of_another_form_hold_no_model(value):
    def answer(handler, _body):
        send(handler, 200, json.dumps(value).encode())

    with ListServer({"/v1/models": answer, "/api/tags": answer, "/props": answer}) as server:
        assert [each.models for each in find(server)] in ([], [()])


def test_names_with_control_characters_and_absurd_sizes_are_dropped():
    names = [
        "\x1b]0;owned\x07",
        "a\nb",
        "\u202egnp.exe",
        "",
        " ",
        "x" * 300,
        7,
        None,
        "good",
        "good",
    ]
    sizes = {"max_model_len": 10**40, "meta": {"n_ctx": True, "n_params": -1, "size": "9"}}
    found = find_one({"/v1/models": list_of(*names, **sizes)})
    assert found.models == (FoundModel("good"),)
    assert len(find_one({"/v1/models": list_of(*map(str, range(999)))}).models) == 200


def test_hostile_details_leave_the_list_as_it_is():
    odd = {"capabilities": "completion", "parameters": "num_ctx " + "9" * 5000, "model_info": []}
    answers = OLLAMA | {"/api/show": odd, "/api/ps": {"models": [{"name": "llama3.1:8b"}]}}
    found = find_one(answers)
    assert [each.name for each in found.models] == ["llama3.1:8b", "qwen2.5:1.5b"]
    assert {each.window for each in found.models} == {4096}


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("env:MISSING_KEY", "env:MISSING_KEY, which is not set"),
        ("env:", "names no variable"),
        ("env:a b", "names no variable"),
        ("keyring:../x", "names no entry of the keyring"),
        ("env:OPENAI_API_KEY", "only to OpenAI or OPENAI_BASE_URL"),
    ],
)
def test_a_reference_that_leads_nowhere_is_explained(monkeypatch, value, part):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    settings = load_settings(chat_model="m", chat_url="http://127.0.0.1:9/v1", chat_key=value)
    with pytest.raises(SettingsError, match=part) as error:
        resolve_server(settings, "chat")
    assert "sk-openai" not in str(error.value)


def test_a_key_is_read_from_its_variable_when_it_is_used(monkeypatch):
    monkeypatch.setenv("MISTRAL_API_KEY", " sk-mistral ")
    settings = load_settings(
        chat_model="m", chat_url="http://127.0.0.1:9/v1", chat_key="env:MISTRAL_API_KEY"
    )
    assert resolve_server(settings, "chat").key == "sk-mistral"
    assert "sk-mistral" not in repr(settings)
    monkeypatch.setenv("MISTRAL_API_KEY", "sk-new")
    assert resolve_server(settings, "chat").key == "sk-new"


def test_a_key_is_read_from_the_keyring():
    import keyring
    from keyring.backend import KeyringBackend
    from keyring.errors import KeyringError

    class Drawer(KeyringBackend):
        priority = 1

        def get_password(self, service, username):
            if username == "locked":
                raise KeyringError("sk-kept is locked")
            return {("papertrail", "mistral"): "sk-kept"}.get((service, username))

        def set_password(self, service, username, password):
            raise KeyringError

    before = keyring.get_keyring()
    keyring.set_keyring(Drawer())
    try:

        def resolve(name):
            url = "http://127.0.0.1:9/v1"
            given = load_settings(chat_model="m", chat_url=url, chat_key=f"keyring:{name}")
            return resolve_server(given, "chat").key

        assert resolve("mistral") == "sk-kept"
        with pytest.raises(SettingsError, match="keyring:groq, which is not set"):
            resolve("groq")
        with pytest.raises(SettingsError, match="cannot be used") as error:
            resolve("locked")
        assert "sk-kept" not in str(error.value)
    finally:
        keyring.set_keyring(before)


def test_info_shows_where_a_key_stands_and_never_the_key(run, monkeypatch):
    monkeypatch.setenv("PAPERTRAIL_CHAT_KEY", "env:MISTRAL_API_KEY")
    monkeypatch.setenv("PAPERTRAIL_EMBED_KEY", "sk-plain")
    said = run("info")
    assert "chat_key: env:MISTRAL_API_KEY  (PAPERTRAIL_CHAT_KEY)" in said
    assert "sk-plain" not in said


def test_a_key_of_the_config_file_does_not_follow_to_another_server(tmp_path, monkeypatch):
    config = tmp_path / "config.toml"
    config.write_text('chat_url = "http://a.example/v1"\nchat_key = "sk-a"\nchat_window = 4096\n')

    def load(**given):
        settings = load_settings(config, chat_model="m", **given)
        return resolve_server(settings, "chat").key, settings.chat_window

    assert load() == load(chat_url="http://a.example/v1") == ("sk-a", 4096)
    assert load(chat_url="http://b.example/v1") == ("none", None)
    assert load(chat_url="http://b.example/v1", chat_key="sk-b") == ("sk-b", None)
    monkeypatch.setenv("PAPERTRAIL_CHAT_KEY", "sk-c")  # of the user's shell, for any server
    assert load(chat_url="http://b.example/v1") == ("sk-c", None)
    monkeypatch.delenv("PAPERTRAIL_CHAT_KEY")
    monkeypatch.setenv("PAPERTRAIL_CHAT_URL", "http://c.example/v1")
    assert load() == ("none", None)
