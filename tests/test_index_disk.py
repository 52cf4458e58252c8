"""Index that is killed, on disks that are full or read-only, and shared by several processes."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from test_retrieval import HashingEmbedder

from rag import Assistant, Paper
from rag.errors import DiskError, IndexLocked, IndexMissing
from rag.index import Index, PassageSettings, update_index
from rag.index.store import PassageStore

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
OLD_INDEX = Path(__file__).parent / "fixtures" / "index_layout_3.zip"
OLD = [Paper(f"o-{n}", f"Old {n}", f"Ponds {n} are cold. " * 3) for n in range(20)]
NEW = [Paper(f"n-{n}", f"New {n}", f"Rates {n} are tested on lakes. " * 12) for n in range(1100)]
LAST = Paper("last", "Last", "Forests are green.")
# Space left for an update that takes 2,600 kB: the disk fills up in the records, in Chroma's
# database, in its graph (2,000 to 2,100) and in its log.
SPARE_KB = (4, 40, 200, 400, 800, 1200, 1600, 1900, 2000, 2100, 2300, 2500)


class CountingEmbedder(HashingEmbedder):
    """Remembers what it embedded."""

    def __init__(self):
        self.seen = []

    def embed(self, texts):
        self.seen += texts
        return super().embed(texts)


@pytest.fixture
def mount(tmp_path):
    """Mount folders of the test; skip it where that is not permitted."""
    mounted = []

    def run(*words, folder):
        done = subprocess.run(
            ["mount", *words, folder], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"mounting is not permitted: {done.stderr.strip()}")
        mounted.append(folder)

    if not shutil.which("mount"):
        pytest.skip("there is no mount command")
    yield run
    for folder in dict.fromkeys(mounted):
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("spare_kb", SPARE_KB)
def test_full_disk_is_reported_and_the_next_update_continues(mount, tmp_path, spare_kb):
    folder, embedder = tmp_path / "disk", CountingEmbedder()
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=40m", "none", folder=folder)
    Assistant.build(OLD, folder / "index", embedder=embedder).close()
    used = shutil.disk_usage(folder).used // 1024
    mount("-o", f"remount,size={used + spare_kb}k", folder=folder)
    with pytest.raises(DiskError, match=r"(?i)no space|is full"):
        Assistant.build(NEW, folder / "index", embedder=embedder)
    with Assistant.open(folder / "index", embedder=embedder) as assistant:
        assert assistant.papers() == OLD
        assert assistant.search("Ponds 7 are cold.")[0].paper.id == "o-7"
    mount("-o", "remount,size=40m", folder=folder)
    with Assistant.build(NEW, folder / "index", embedder=embedder) as assistant:
        assert assistant.papers() == [*OLD, *NEW]
        assert assistant.search("Ponds 7 are cold.")[0].paper.id == "o-7"
        assert assistant.search("Rates 777 are tested.", k=1)[0].paper.id == "n-777"
    papers = [text for text in embedder.seen if "\n" in text]
    assert len(papers) <= len(OLD) + len(NEW) + 32  # one block at most is embedded again


def test_index_on_a_read_only_disk_answers_and_refuses_updates(mount, tmp_path):
    disk, folder = tmp_path / "disk", tmp_path / "view"
    folder.mkdir()
    with zipfile.ZipFile(OLD_INDEX) as archive:
        archive.extractall(disk / "layout-3")
    Assistant.build(OLD, disk / "index", embedder=HashingEmbedder()).close()
    mount("--bind", disk, folder=folder)
    mount("-o", "remount,ro,bind", folder=folder)
    with Assistant.open(folder / "index", embedder=HashingEmbedder()) as assistant:
        assert assistant.papers() == OLD
        assert assistant.ask("Ponds 7 are cold.").hits[0].paper.id == "o-7"
    with Assistant.open(folder / "layout-3") as assistant:
        assert len(assistant.papers()) == 5
        assert assistant.search("what attends to few tokens?")[0].paper.id == "a-1"
    for name, embedder in (("index", HashingEmbedder()), ("layout-3", None), ("new", None)):
        with pytest.raises(DiskError, match=r"Read-only file system\. Make it writable"):
            Assistant.build(NEW[:1], folder / name, embedder=embedder)


UPDATING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_index_disk import NEW, update
print("ready", flush=True)
update(Path(sys.argv[1]), NEW, sys.argv[3:])
"""


def update(folder, papers, removed=()):
    """Add papers to an index, and remove some by their ids."""
    passages = PassageSettings(budget_tokens=400, overlap_sentences=1)
    update_index(folder, papers, HashingEmbedder(), passages=passages, remove=removed)


def kill_update(folder, removed, after_s):
    """Update an index in a process that is killed after some time. Return whether it was."""
    command = [sys.executable, "-c", UPDATING, folder, Path(__file__).parent, *removed]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout.readline() == b"ready\n"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after_s)
        process.kill()
    assert process.returncode in (0, -signal.SIGKILL)
    return process.returncode != 0


def list_ids(folder):
    """Return the ids of the papers of an index, none if its first build is unfinished."""
    try:
        with Assistant.open(folder, embedder=HashingEmbedder()) as assistant:
            assert assistant.search("Ponds 7 are cold.")
            return [paper.id for paper in assistant.papers()]
    except IndexMissing:
        return []


@pytest.mark.parametrize("before", [[], OLD], ids=["build", "update"])
def test_kill_at_any_moment_leaves_the_old_index_or_the_new(before, tmp_path):
    removed = [paper.id for paper in before[:3]]
    new = [paper.id for paper in [*before[3:], *NEW]]
    if before:
        update(tmp_path / "before", before)
    started = time.monotonic()
    update(shutil.copytree(tmp_path / "before", tmp_path / "x") if before else tmp_path / "x", NEW)
    whole_s = time.monotonic() - started
    moments = random.Random(16)
    kills = 0
    for number in range(10):
        folder = tmp_path / str(number)
        if before:
            shutil.copytree(tmp_path / "before", folder)
        kills += kill_update(folder, removed, moments.uniform(0, whole_s))
        found = list_ids(folder)
        assert found in ([paper.id for paper in before], new)
        update(folder, NEW, removed if found != new else ())
        assert list_ids(folder) == new
        update(folder, [LAST], [new[0]])  # deletes what the kill left over, too
        index = Index.open(folder)
        assert index.manifest.row_count == index.lexical.row_count == len(new)
        assert len(list(folder.glob("data-*"))) == 1
        index.close()
        store = PassageStore(folder / "data-1" / "chroma")
        assert store.count() == len(new)
        store.close()
    assert kills >= 7


READING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_index_disk import OLD
from test_retrieval import HashingEmbedder
from rag import Assistant
with Assistant.open(sys.argv[1] + "/index", embedder=HashingEmbedder()) as assistant:
    old, rounds = {paper.id for paper in OLD}, 0
    print("reading", flush=True)
    while not Path(sys.argv[3]).exists():
        ids = [paper.id for paper in assistant.papers()]
        more = set(ids) - old
        assert len(ids) == len(set(ids)) and old <= set(ids), ids
        assert len(more) % 40 == 0, more  # an update adds or removes forty papers, or nothing
        hits = assistant.search(f"Ponds {rounds % 20} are cold.", k=5)
        assert hits[0].paper.id == f"o-{rounds % 20}", hits
        assert len(hits) == 5
        rounds += 1
    print(rounds)
"""


def test_readers_see_whole_generations_while_a_writer_adds_and_removes(tmp_path):
    embedder, folder, stop = HashingEmbedder(), tmp_path / "index", tmp_path / "stop"
    Assistant.build(OLD, folder, embedder=embedder).close()
    command = [sys.executable, "-c", READING, tmp_path, Path(__file__).parent, stop]
    readers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
        for _ in range(2)
    ]
    assert [reader.stdout.readline() for reader in readers] == [b"reading\n"] * 2
    for first in range(0, 320, 40):
        block = NEW[first : first + 40]
        Assistant.build(block, folder, embedder=embedder).close()
        if first % 80:
            update(folder, (), [paper.id for paper in block])
    stop.touch()
    for reader in readers:
        said, errors = reader.communicate(timeout=60)
        assert reader.returncode == 0, errors.decode()
        assert int(said) > 10


def test_second_writer_is_refused_while_the_first_goes_on(tmp_path):
    refused = []

    def write_too(done, total):
        with pytest.raises(IndexLocked):
            Assistant.build(OLD, tmp_path / "index", embedder=HashingEmbedder())
        refused.append(done)

    build = Assistant.build(
        NEW[:100], tmp_path / "index", embedder=HashingEmbedder(), on_progress=write_too
    )
    with build as assistant:
        assert assistant.papers() == NEW[:100]
    assert refused == [0, 32, 64, 96, 100]
