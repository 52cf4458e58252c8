"""The page as a web server: who gets in, what is turned away, what its API gives."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from pathlib import Path

import httpx
import pytest
from page_app import PAPERS, QUESTION, SECOND, act, ask, build, collect, make_context, open_page
from starlette.applications import Starlette
from starlette.testclient import TestClient
from typer.testing import CliRunner

from rag import Assistant
from rag.cli import app
from rag.errors import CorpusError, SettingsError
from rag.web import ServerOptions, launch
from rag.web.auth import COOKIE, Accounts, add_account, read_accounts
from rag.web.guard import Guard
from rag.web.history import History
from rag.web.layout import create_application
from rag.web.limits import LoginThrottle
from rag.web.uploads import UploadStore

PASSWORD = "correct horse battery"


@pytest.fixture
def make(library, tmp_path):
    """Return a function that makes contexts, which are closed after the test."""
    made = []

    def make_one(folder=library, **given):
        made.append(make_context(folder, tmp_path, **given))
        return made[-1]

    yield make_one
    for each in made:
        each.close()


def guard(context, *, only_loopback=False, uploads=True):
    """Return the application of a context behind its guard."""
    application, auth = create_application(context)
    return Guard(application, only_loopback=only_loopback, auth=auth, uploads=uploads)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def users(tmp_path_factory):
    path = tmp_path_factory.mktemp("users") / "accounts"
    for name in ("ada", "bob"):
        add_account(path, name, PASSWORD)
    return path


@pytest.fixture(scope="module")
def own(library, tmp_path_factory):
    """Yield a client of a page for its owner alone."""
    context = make_context(library, tmp_path_factory.mktemp("own"))
    with TestClient(guard(context, only_loopback=True), base_url="http://127.0.0.1:7860") as client:
        yield client
    context.close()


@pytest.fixture(scope="module")
def shared(library, users, tmp_path_factory):
    """Yield a function that makes clients of a page with accounts."""
    options = ServerOptions(host="0.0.0.0", users=users, questions_per_hour=3)
    context = make_context(library, tmp_path_factory.mktemp("shared"), options=options)
    guarded = guard(context, uploads=False)

    def client():
        return TestClient(guarded, base_url="http://papers.test", follow_redirects=False)

    with TestClient(guarded):
        yield client
    context.close()


def sign_in(client, name="ada", password=PASSWORD):
    return client.post("/sign-in", data={"name": name, "password": password})


@pytest.fixture
def both(shared):
    """Return the clients of two users who are signed in."""
    clients = shared(), shared()
    for client, name in zip(clients, ("ada", "bob"), strict=True):
        sign_in(client, name)
    return clients


def call(client, endpoint, *values):
    """Call a named endpoint over plain HTTP. Return the kind of its last event and the data."""
    begun = client.post(f"/gradio_api/call/{endpoint}", json={"data": list(values)})
    assert begun.status_code == 200, begun.text
    events = client.get(f"/gradio_api/call/{endpoint}/{begun.json()['event_id']}").text
    kind, data = events.strip().split("\n")[-2:]
    return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_the_page_forbids_what_comes_from_or_goes_to_other_hosts(own) -> None:
    response = own.get("/")
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert "og:" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.test"}, 403),
        ({"host": "127.0.0.1.evil.test"}, 403),
        ({"host": "["}, 403),
        ({"origin": "http://evil.test"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:7860"}, 200),
        ({"host": "localhost:7860"}, 200),
    ],
)
def test_other_sites_and_other_names_are_turned_away(own, headers, status) -> None:
    assert own.get("/", headers=headers).status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=https://example.org",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/dev/reload",
        "/gradio_api/runs",
        "/monitoring",
    ],
)
def test_other_routes_of_gradio_are_closed(own, path) -> None:
    assert own.get(path).status_code == 404


def test_bodies_that_are_too_large_are_refused_before_they_are_read(own) -> None:
    headers = {"content-length": "99999999999"}
    assert own.post("/gradio_api/queue/join", headers=headers).status_code == 413


def test_ask_and_search_answer_over_http_and_nothing_else_has_a_name(own) -> None:
    named = own.get("/gradio_api/info").json()
    assert set(named["named_endpoints"]) == {"/ask", "/search"}
    assert named["unnamed_endpoints"] == {}
    kind, (answer,) = call(own, "ask", QUESTION, 2)
    assert (kind, answer["status"]) == ("complete", "answered")
    kind, (found,) = call(own, "search", QUESTION, 1)
    assert [hit["paper"]["id"] for hit in found["hits"]] == ["zorp-1"]


@pytest.mark.parametrize(
    ("question", "k", "sentence"),
    [
        ("x" * 4001, 1, "longer than 4,000 characters"),
        ("???", 1, "Write a question first."),
        (None, 1, "The question is not text."),
        (QUESTION, 0, "whole number from 1 to 50"),
        (QUESTION, "many", "whole number from 1 to 50"),
        (QUESTION, True, "whole number from 1 to 50"),
    ],
)
def test_the_api_refuses_values_out_of_range_and_logs_nothing(
    own, capfd, question, k, sentence
) -> None:
    for endpoint in ("ask", "search"):
        kind, data = call(own, endpoint, question, k)
        assert kind == "error"
        assert sentence in data["error"]
    assert "Traceback" not in capfd.readouterr().err


def test_a_bug_is_reported_in_a_sentence_and_logged_once(caplog, capfd, make) -> None:
    context = make()
    with TestClient(guard(context)) as client:
        context.chat.workers.shutdown()  # no question can be worked on: nobody foresaw it
        kind, data = call(client, "ask", QUESTION, 1)
    assert kind == "error"
    assert "Papertrail failed to answer because of a bug." in data["error"]
    assert caplog.text.count("Traceback") == 1
    assert "cannot schedule new futures after shutdown" in caplog.text
    assert "Traceback" not in capfd.readouterr().err  # not from Gradio, too


def test_a_call_without_values_is_refused_in_a_sentence(own, capfd) -> None:
    kind, data = call(own, "ask")
    assert (kind, data["error"]) == ("error", "The question is not text.")
    for body in ({"data": {}}, {"data": "x"}, {}, None, [], 7):
        assert own.post("/gradio_api/call/ask", json=body).status_code == 422
    assert "Traceback" not in capfd.readouterr().err


def test_a_call_without_k_takes_the_setting_and_one_with_k_its_own(make) -> None:
    context = make(k=1)
    with TestClient(guard(context)) as client:
        for endpoint in ("ask", "search"):
            for given, count in (((), 1), ((None,), 1), ((2,), 2)):
                kind, (found,) = call(client, endpoint, QUESTION, *given)
                assert (kind, len(found["hits"])) == ("complete", count)


def test_unknown_functions_get_404_and_are_not_logged(own, capfd) -> None:
    sent = {"data": [None], "session_hash": "nobody"}
    posts = [("call/nope", {}), ("call/v2/nope", {}), ("run/nope", {}), ("run/predict", {})]
    posts += [("queue/join", {"fn_index": n}) for n in (999, -1)]
    for path, more in posts:
        answer = own.post(f"/gradio_api/{path}", json={**sent, **more})
        assert (answer.status_code, answer.text) == (404, "There is no such function.")
    assert "Traceback" not in capfd.readouterr().err


FILE_DATA = {"meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize(
    "value",
    [
        {"path": "/etc/passwd", **FILE_DATA},
        {"path": "http://169.254.169.254/", **FILE_DATA},
        [{"a": [{"url": "http://example.org", **FILE_DATA}]}],
    ],
)
def test_values_that_name_files_or_addresses_never_reach_gradio(own, value) -> None:
    body = {"data": [None, value], "fn_index": 1, "session_hash": "abcdef"}
    for path in ("queue/join", "call/ask", "run/predict", "api/ask", "call/v2/ask"):
        assert own.post(f"/gradio_api/{path}", json=body).status_code == 400
    escaped = json.dumps(body).replace("path", "\\u0070ath").replace("url", "\\u0075rl")
    assert own.post("/gradio_api/queue/join", content=escaped).status_code == 400
    assert own.post("/gradio_api/queue/join", content="[" * 100_000).status_code == 400


def test_a_file_is_sent_under_a_token_and_read_once_by_its_sender(tmp_path) -> None:
    uploads, application = UploadStore(), Starlette()
    uploads.add_route(application, lambda request: request.headers.get("user"))
    client = TestClient(application)
    name = "../../../etc/cron.d/x <b>.bib"
    sent = client.post("/upload", params={"name": name}, content=b"@misc{}", headers={"user": "a"})
    token = sent.json()["token"]
    assert uploads.take([token], "b") == []
    assert uploads.take("not a list", "a") == []
    (file,) = uploads.take([token, 7, None, "other"], "a")
    assert file.name == name
    assert file.path.name == token
    assert file.path.read_bytes() == b"@misc{}"
    assert uploads.take([token], "a") == []
    statuses = [client.post("/upload", content=b"x").status_code for _ in range(41)]
    assert statuses == [200] * 40 + [429]
    folder = file.path.parent
    uploads.close()
    assert not folder.exists()


def test_only_who_signs_in_gets_in(shared) -> None:
    client = shared()
    assert client.get("/").headers["location"] == "/sign-in"
    for path in ("/config", "/gradio_api/info", "/gradio_api/queue/data?session_hash=x"):
        assert client.get(path).status_code == 401
    assert client.post("/gradio_api/call/ask", json={"data": ["?", 1]}).status_code == 401
    assert "Sign in" in client.get("/sign-in").text
    assert "<script>" not in sign_in(client, name="<script>").text
    wrong = sign_in(client, password="wrong")
    assert wrong.status_code == 401
    assert "Wrong name or password." in wrong.text
    done = sign_in(client, name="Ada")
    assert done.status_code == 303
    assert "httponly" in done.headers["set-cookie"].lower()
    assert "samesite=strict" in done.headers["set-cookie"].lower()
    assert client.get("/").status_code == 200
    assert client.post("/sign-out").status_code == 303
    assert client.get("/").headers["location"] == "/sign-in"
    assert client.get("/", cookies={COOKIE: "made-up"}).headers["location"] == "/sign-in"


def test_every_user_has_their_own_limits(both) -> None:
    ada, bob = both
    kinds = [call(ada, "search", QUESTION, 1)[0] for _ in range(4)]
    assert kinds == ["complete", "complete", "complete", "error"]
    assert call(bob, "search", QUESTION, 1)[0] == "complete"


def test_a_page_without_users_has_the_limits_that_its_owner_sets(make) -> None:
    context = make(options=ServerOptions(questions_per_hour=1))
    collect(context.chat.ask(open_page(), QUESTION))
    (refused,) = collect(context.chat.ask(open_page(), QUESTION))
    assert "You have asked 1 question within an hour" in refused.note


def test_users_who_sign_in_have_limits_by_default(users) -> None:
    for options, most in ((ServerOptions(), 500), (ServerOptions(users=users), 120)):
        limit = options.rate_limit
        assert [limit.count_question("ada") for _ in range(most)] == [""] * most
        assert bool(limit.count_question("ada")) is (options.users is not None)


def test_another_users_page_is_closed_by_its_name_alone(both) -> None:
    ada, bob = both
    body = {"data": [None], "fn_index": 0, "session_hash": "adaspage"}
    assert ada.post("/gradio_api/queue/join", json=body).status_code == 200
    assert ada.get("/gradio_api/queue/data?session_hash=adaspage").status_code == 200
    refused = bob.get("/gradio_api/queue/data", params={"session_hash": "adaspage"})
    assert refused.status_code == 403
    assert bob.get("/gradio_api/heartbeat/adaspage").status_code == 403


def test_an_answer_over_the_api_is_for_the_user_who_asked(both) -> None:
    ada, bob = both
    # no matter whether it was a question: the bounds of other tests are not touched
    token = ada.post("/gradio_api/call/ask", json={"data": ["???", 1]}).json()["event_id"]
    for path in (f"call/ask/{token}", f"call/search/{token}/", f"call/v2/ask/{token}"):
        assert bob.get(f"/gradio_api/{path}").status_code == 403
    assert bob.get("/gradio_api/queue/data", params={"session_hash": token}).status_code == 403
    assert "Write a question first." in ada.get(f"/gradio_api/call/ask/{token}").text


def test_uploads_are_closed_where_nothing_may_be_changed(shared) -> None:
    client = shared()
    sign_in(client)
    for path in ("/upload", "/gradio_api/upload"):
        assert client.post(path, content=b"@misc{}").status_code == 404


def test_wrong_tries_are_slowed_more_and_more() -> None:
    clock = [100.0]
    tries = LoginThrottle(lambda: clock[0])
    waits = []
    for _ in range(7):
        waits.append(tries.compute_wait_s("ada"))
        tries.add("ada", "1.2.3.4")
    assert waits == [0, 0, 0, 1, 2, 4, 8]
    assert tries.compute_wait_s("bob", "1.2.3.4") == 16
    assert tries.compute_wait_s("bob") == 0
    clock[0] += 16
    assert tries.compute_wait_s("ada") == 0
    tries.reset("ada")
    clock[0] += 1000
    tries.add("ada")
    assert tries.compute_wait_s("ada") == 0


def test_after_wrong_tries_even_the_right_password_has_to_wait(users, make) -> None:
    options = ServerOptions(host="0.0.0.0", users=users)
    context = make(options=options)
    client = TestClient(guard(context))
    for _ in range(5):
        sign_in(client, password="wrong")
    assert sign_in(client).status_code == 429


def test_accounts_keep_hashes_that_only_their_owner_can_read(tmp_path) -> None:
    path = tmp_path / "deep" / "accounts"
    result = CliRunner().invoke(
        app, ["app-user", "add", "Ada", str(path)], input=f"{PASSWORD}\n{PASSWORD}\n"
    )
    assert result.exit_code == 0, result.output
    assert PASSWORD not in path.read_text()
    assert PASSWORD not in result.output
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Accounts(path).verify("ada", PASSWORD)
    assert not Accounts(path).verify("ada", PASSWORD + " ")
    assert not Accounts(path).verify("eve", PASSWORD)
    assert not Accounts(path).verify("", "")
    assert CliRunner().invoke(app, ["app-user", "remove", "ada", str(path)]).exit_code == 0
    assert read_accounts(path) == {}
    with pytest.raises(SettingsError, match="holds no account"):
        Accounts(path)


@pytest.mark.parametrize(("name", "password"), [("../x", PASSWORD), ("", PASSWORD), ("ada", "1")])
def test_invalid_names_and_passwords_are_refused(tmp_path, name, password) -> None:
    with pytest.raises(CorpusError):
        add_account(tmp_path / "accounts", name, password)
    assert not (tmp_path / "accounts").exists()


@pytest.mark.parametrize("content", ["ada:secret", "[]", '{"name": "ada"}', "\xff"])
def test_a_file_that_does_not_hold_accounts_is_refused(tmp_path, content) -> None:
    (tmp_path / "accounts").write_text(content, encoding="latin-1")
    with pytest.raises(SettingsError, match="not a file of accounts"):
        Accounts(tmp_path / "accounts")


def test_a_page_that_others_can_reach_demands_accounts() -> None:
    with pytest.raises(SettingsError, match="--users"):
        launch(ServerOptions(host="0.0.0.0"))
    result = CliRunner().invoke(app, ["app", "--host", "0.0.0.0"])
    assert result.exit_code == 2


def test_a_port_that_is_taken_is_reported(library, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PAPERTRAIL_DATA_DIR", str(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match="Choose another port with --port"):
            launch(ServerOptions(port=port))


def test_users_list_rename_and_delete_only_their_own_conversations(make) -> None:
    context = make()
    ada, bob = open_page("ada"), open_page("bob")
    last = ask(context, ada)
    assert [each["title"] for each in last.message["conversations"]] == [QUESTION]

    (listed,) = act(context, bob, act="back")
    assert listed.message["conversations"] == []
    with pytest.raises(CorpusError, match="no such conversation"):
        act(context, bob, act="open", id=ada.conversation_id)
    again = open_page("ada")
    (opened,) = act(context, again, act="open", id=ada.conversation_id)
    assert "3.5 times faster" in opened.past
    (renamed,) = act(context, again, act="rename", id=ada.conversation_id, text="On speed")
    assert renamed.message["conversations"][0]["title"] == "On speed"
    act(context, bob, act="delete", id=ada.conversation_id)
    (listed,) = act(context, again, act="back")
    assert len(listed.message["conversations"]) == 1
    (gone,) = act(context, again, act="delete", id=ada.conversation_id)
    assert gone.message["conversations"] == []
    assert "welcome" in gone.past


def test_two_pages_of_one_user_lose_nothing_of_each_other(make) -> None:
    context = make()
    one, other = open_page("ada"), open_page("ada")
    ask(context, one)
    act(context, other, act="open", id=one.conversation_id)
    act(context, other, act="rename", id=one.conversation_id, text="On speed")
    last = ask(context, one, SECOND)
    assert [each["title"] for each in last.message["conversations"]] == ["On speed"]
    last = ask(context, other, "how many tokens does it attend to?")
    assert "continued in another tab" in last.note
    assert one.conversation_id != other.conversation_id
    assert len(last.message["conversations"]) == 2
    last = ask(context, one, "what is ZORP?")
    assert last.note is None
    kept = json.loads(context.chat.history.read("ada", one.conversation_id))
    assert [turn["question"] for turn in kept["turns"]][1:] == [
        SECOND,
        "what is ZORP?",
    ]


def test_conversations_from_a_browser_are_checked(make) -> None:
    context = make()
    session = open_page()
    kept = ask(context, session).message["conversation"]
    assert '"abstract":' not in json.dumps(kept)
    other = open_page()

    def opened(text, identity=kept["id"]):
        return act(context, other, act="open", id=identity, text=text)

    (view,) = opened(json.dumps(kept))
    assert "3.5 times faster" in view.past
    assert '<mark data-start="86">' in view.sources
    forged = json.loads(json.dumps(kept))
    forged["turns"][0]["answer"]["text"] = "ZORP cures everything. [1]"
    for text in ("", "{", "[]", "{}", "[" * 100_000, json.dumps(forged), "x" * 5_000_000):
        with pytest.raises(CorpusError):
            opened(text)
    with pytest.raises(CorpusError):
        opened(json.dumps(kept), identity="../../etc")
    assert other.turns[0].question == QUESTION


def test_a_conversation_of_another_library_says_so_and_follow_ups_ask_this_one(
    library, tmp_path, make
) -> None:
    first = make()
    kept = collect(first.chat.ask(open_page(), QUESTION))[-1].message["conversation"]
    Assistant.build(PAPERS[1:], tmp_path / "others").close()
    context = make(tmp_path / "others")
    session = open_page()
    (view,) = act(context, session, act="open", id=kept["id"], text=json.dumps(kept))
    assert view.note == (
        "This conversation used the library papers. The library papers is not available here, so "
        "its answers are shown as they were saved. New questions go to the library others."
    )
    assert "Asked of the <bdi>library papers</bdi>" in view.past
    assert 'class="marker fact"' in view.past
    assert "” quoted" in view.sources
    for claim in ("no longer in the library", "left the library"):
        assert claim not in view.past + view.sources
    last = ask(context, session, SECOND)
    assert "Asked of the <bdi>library others</bdi>" in last.turn
    assert last.message["conversation"]["libraries"] == ["library papers", "library others"]
    for libraries in (None, "x", ["one"], [1, {}]):
        forged = json.dumps({**last.message["conversation"], "libraries": libraries})
        act(context, session, act="open", id=kept["id"], text=forged)
        assert len(session.libraries) == 2


def test_no_name_leads_out_of_the_folder_of_conversations(tmp_path) -> None:
    history = History(tmp_path)
    for user, identity in (("..", "a" * 16), ("ada", "../../../etc/x"), ("a/b", "a" * 16)):
        with pytest.raises(CorpusError):
            history.read(user, identity)


def test_tries_side_by_side_wait_like_tries_one_after_the_other(users, make) -> None:
    context = make(options=ServerOptions(host="0.0.0.0", users=users))
    guarded = guard(context)

    async def tries():
        transport = httpx.ASGITransport(app=guarded)
        async with httpx.AsyncClient(transport=transport, base_url="http://papers.test") as client:
            fields = [{"name": "ada", "password": f"wrong {n}"} for n in range(12)]
            return await asyncio.gather(*(client.post("/sign-in", data=each) for each in fields))

    statuses = sorted(answer.status_code for answer in asyncio.run(tries()))
    assert statuses == [401] * 3 + [429] * 9


def test_an_upload_that_is_cut_off_leaves_nothing(tmp_path) -> None:
    uploads, application = UploadStore(), Starlette()
    uploads.add_route(application, lambda request: None)
    sent = iter(
        [
            {"type": "http.request", "body": b"@misc{", "more_body": True},
            {"type": "http.disconnect"},
        ]
    )

    async def receive():
        return next(sent)

    async def send(message):
        pass

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/upload",
        "query_string": b"name=a.bib",
        "headers": [],
    }
    asyncio.run(application(scope, receive, send))
    assert list(Path(uploads._folder.name).iterdir()) == []
    assert uploads._waiting == {}
    uploads.close()
