"""Record the answers to all bundled questions, to see later what a change of the code changed.

Run: python scripts/record_answers.py record OUT.jsonl
     python scripts/record_answers.py compare BEFORE.jsonl AFTER.jsonl

`record` asks the questions in `eval/qa` and plays the conversations in `conversations.jsonl`, with
the bundled library and without a language model. It uses only the public API, so the same script
runs before and after a restructuring. Keep the results outside the repository. Record both files on
one machine with the same OMP_NUM_THREADS, because the last digits of scores depend on it.

`compare` names every answer that differs, and the fields. Exit status 1 if any differs, 2 if a file
cannot be read or written.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rag
from rag import Answer, Assistant, RagError, Settings, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
QUESTIONS = [HERE.parent / "eval" / "qa" / f"{name}.jsonl" for name in ("dev", "test", "lists")]
CONVERSATIONS = HERE / "conversations.jsonl"
# Defaults, whatever the config file and the environment say: no model, the bundled library. Only
# `candidates` covers all papers. Chroma builds its graph anew in every process, so a search for 200
# of the 252 passages differs from run to run.
SETTINGS = {"candidates": 1000}
SHOWN = 40  # characters shown from the first place where two texts differ


class FileError(Exception):
    """Say in one sentence which file cannot be read or written, and why."""


def main() -> int:
    """Run one of the two commands and return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="write all answers to a file")
    recording.add_argument("out", type=Path)
    comparing = commands.add_parser("compare", help="compare two recorded files")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    args = parser.parse_args()
    try:
        if args.command == "compare":
            return compare(args.before, args.after)
        write_answers(args.out)
    except (FileError, RagError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def write_answers(out: Path) -> None:
    """Write one JSON line for each answer. The file appears whole or not at all."""
    if out.is_dir():
        raise FileError(f"{out} is a folder. Name a file instead.")
    print(f"Recording the answers of {Path(rag.__file__).parent}", file=sys.stderr)
    started, count = time.perf_counter(), 0
    partial = out.with_name(f"{out.name}.partial")
    with Assistant.open(settings=Settings.model_validate(SETTINGS)) as assistant:
        try:
            with partial.open("w", encoding="utf-8") as file:
                for count, (name, answer) in enumerate(ask_everything(assistant), start=1):
                    file.write(as_line(name, answer))
                    if count % 50 == 0:
                        print(f"{count} answers", file=sys.stderr)
            partial.replace(out)
        except OSError as error:
            raise FileError(f"{out} cannot be written: {error.strerror}.") from error
        finally:
            partial.unlink(missing_ok=True)
    print(f"{count} answers in {time.perf_counter() - started:.0f} s", file=sys.stderr)


def as_line(name: str, answer: Answer) -> str:
    """Return a recorded answer: all of it but the time it took."""
    values = answer.to_dict()
    del values["seconds"]
    record = {"id": name, "answer": values}
    return json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n"


def ask_everything(assistant: Assistant) -> Iterator[tuple[str, Answer]]:
    """Yield the id and answer of every question, then of every turn of the conversations."""
    template = assistant.ask("What is replaced token detection?")
    for path in QUESTIONS:
        for item in read_lines(path):
            history = [told_turn(template, **turn) for turn in item.get("history", ())]
            yield item["id"], assistant.ask(item["question"], history=history)
    for item in read_lines(CONVERSATIONS):
        conversation = assistant.chat()
        for number, question in enumerate(item["turns"], start=1):
            yield f"{item['id']}/{number}", conversation.ask(question)


def told_turn(template: Answer, question: str, answer: str) -> Turn:
    """Return an earlier turn as `eval` tells it: the answer has a text and cites nothing.

    The other values come from a real answer, because their names change between versions.
    """
    told = replace(template, question=question, asked=question, text=answer, statements=(), hits=())
    return Turn(question, told)


def compare(before: Path, after: Path) -> int:
    """Print which answers differ, and where. Return 1 if any differs, else 0."""
    old, new = read_answers(before), read_answers(after)
    lines, counts = [], Counter[str]()
    names = list(old | new)
    for name in names:
        if name not in old or name not in new:
            lines.append(f"{name}: only in {before if name in old else after}")
        elif fields := differing_fields(old[name], new[name]):
            lines.append(f"{name}: {', '.join(f + place for f, place in fields.items())}")
            counts.update(fields.keys())
    print(f"{len(names) - len(lines)} of {len(names)} answers are identical.")
    if counts:
        print("Differing fields:", ", ".join(f"{f} {n}" for f, n in counts.most_common()))
    print("\n".join(lines), end="\n" if lines else "")
    return 1 if lines else 0


def differing_fields(old: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    """Return the fields that differ, each with the first differing place if it holds text."""
    fields = [f for f in sorted(old | new) if f not in old or f not in new or old[f] != new[f]]
    return {f: first_difference(old.get(f), new.get(f)) for f in fields}


def first_difference(old: object, new: object) -> str:
    """Return where two texts begin to differ, such as "(from character 3: 'it' -> 'be')".

    Return "" for other values.
    """
    if not (isinstance(old, str) and isinstance(new, str)):
        return ""
    pairs = enumerate(zip(old, new, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(old), len(new)))
    return f" (from character {at}: {old[at : at + SHOWN]!r} -> {new[at : at + SHOWN]!r})"


def read_answers(path: Path) -> dict[str, dict[str, Any]]:
    """Return recorded answers by id, in the order of the file."""
    answers: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        name, answer = line.get("id"), line.get("answer")
        if not isinstance(name, str) or not isinstance(answer, dict) or name in answers:
            raise FileError(f"{path}, line {number} lacks an answer or an id of its own.")
        answers[name] = answer
    if not answers:
        raise FileError(f"{path} holds no answers.")
    return answers


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a file with one object a line."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                value = json.loads(line)
                if not isinstance(value, dict):
                    raise FileError(f"{path}, line {number} is not a JSON object.")
                yield value
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not UTF-8 text.") from error
    except json.JSONDecodeError as error:
        raise FileError(f"{path}, line {number} is not valid JSON: {error.msg}.") from error


if __name__ == "__main__":
    sys.exit(main())
