"""The report as one page that a person can read: no other file, no network.

Everything that comes from a paper, a question or a model is escaped. The plots (`eval.plots`) are
drawn by the copy of plotly's script that the page carries.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from eval.measures import AXES
from eval.metrics import evidence_shown
from eval.plots import plots
from rag.errors import DiskError
from rag.verification import VERDICTS

if TYPE_CHECKING:
    from eval.records import Judged, JudgedStatement, Record
    from eval.report import Report, Score
    from rag.verification import Verdict

PAGE = Path(__file__).parent / "report.html"


def write_report(report: Report, folder: Path) -> None:
    """Write report.json and report.html.

    Raises:
        DiskError: they cannot be written.
    """
    try:
        text = json.dumps(report.to_dict(), ensure_ascii=False, indent=1) + "\n"
        (folder / "report.json").write_text(text, encoding="utf-8")
        (folder / "report.html").write_text(render_html(report), encoding="utf-8")
    except OSError as error:
        raise DiskError(f"The report in {folder} cannot be written: {error}.") from error


def render_html(report: Report) -> str:
    """Return the report as one HTML page."""
    from plotly.offline import get_plotlyjs

    info = report.run.info
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        plotly=get_plotlyjs(),
        state=escape(report.run.state),
        started=escape(info.started),
        facts=_facts(report),
        scores=_tables(report),
        plots="".join(plots(report)),
        questions="".join(_question(record) for record in report.run.records),
        kinds=_kinds(report),
    )


def _kinds(report: Report) -> str:
    kinds = dict.fromkeys(record.kind for record in report.run.records)
    return "".join(f"<option>{kind}</option>" for kind in kinds)


def _facts(report: Report) -> str:
    info = report.run.info
    rows = {
        "library": f"{info.about['index']}, {info.about['papers']} papers",
        "questions": f"{info.about['questions']} ({', '.join(info.about['splits'])}); "
        f"{len(report.run.records)} of {info.planned} records"
        + (f", {report.failed} failed" if report.failed else "")
        + (f", {report.unplanned} not planned" if report.unplanned else ""),
        "writer": info.identity["model"] or "quotes: verbatim sentences, no language model",
        "judge": f"{info.identity['judge']}: {info.about['judge']}",
        "unscored": f"{report.unscored:.1%} of the judge's verdicts",
        **{f"{name}'s use": s for name, s in report.spent.items() if s.usage.calls},
        "version": f"{info.identity['version']}, commit {info.about['commit'] or 'unknown'}"
        + (" with changes" if info.about["dirty"] else ""),
    }
    cells = (f"<tr><th>{escape(n)}</th><td>{escape(str(v))}</td></tr>" for n, v in rows.items())
    return f'<table class="facts">{"".join(cells)}</table>'


def _tables(report: Report) -> str:
    """Return one table for each axis that has scores."""
    overall = [score for score in report.scores if score.kind == "all"]
    by_axis = {axis: [score for score in overall if score.axis == axis] for axis in AXES}
    return "".join(_table(report, axis, rows) for axis, rows in by_axis.items() if rows)


def _table(report: Report, axis: str, rows: list[Score]) -> str:
    kinds = list(dict.fromkeys(s.kind for s in report.scores if s.kind != "all"))
    judged = any(score.judged for score in rows)
    about = escape(report.run.info.about["judge"])
    note = f"<p class=note>* judged, {about}</p>" if judged else ""
    head = "".join(f"<th>{escape(kind)}</th>" for kind in kinds)
    body = "".join(_row(report, score, kinds) for score in rows)
    return (
        f"<h3>{axis}</h3>{note}<div class=wide><table><thead><tr><th>measure</th><th>n</th>"
        f"<th>all</th><th>95% interval</th>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(report: Report, score: Score, kinds: list[str]) -> str:
    interval = "" if score.low is None else f"{score.low:.3f} to {score.high:.3f}"
    cells = []
    for kind in kinds:
        own = report.score(score.name, kind)
        cells.append(f'<td title="n = {own.n}">{own.mean:.3f}</td>' if own else "<td></td>")
    star = "*" if score.judged else ""
    return (
        f'<tr><th title="{escape(score.says)}">{escape(score.name)}{star}<small>'
        f"{escape(score.says)}</small></th><td>{score.n}</td><td><b>{score.mean:.3f}</b></td>"
        f"<td>{interval}</td>{''.join(cells)}</tr>"
    )


def _question(record: Record) -> str:
    label = "failed" if record.failed else "answered" if record.answered else "abstained"
    wrong = _wrong(record)
    variant = "" if record.variant == "asked" else f" · {record.variant}"
    return (
        f'<details class=q data-kind="{record.kind}" data-status="{label}" '
        f'data-wrong="{"yes" if wrong else "no"}"><summary>'
        f"<code>{escape(record.id)}</code> {escape(record.question)}"
        f"<small>{record.kind}{variant} · {label}{' · ' + wrong if wrong else ''}</small></summary>"
        f"{_body(record)}</details>"
    )


def _wrong(record: Record) -> str:
    """Return the plain fault of an answer, or ""."""
    if record.failed:
        return "failed"
    if record.answerable and not record.answered:
        return "false refusal"
    if not record.answerable and record.answered:
        return "false answer"
    if record.answerable and not set(record.ranked[:5]) & set(record.gold):
        return "gold paper not among the first five"
    return "no gold sentence shown" if evidence_shown(record) == 0.0 else ""


def _body(record: Record) -> str:
    if record.answer is None:
        return f"<p>{escape(record.failed)}</p>"
    parts = [f"<p>{escape(record.answer['text'])}</p>"]
    judged = {statement.text: statement for statement in record.statements}
    if record.answer["statements"]:
        parts.append(
            f"<h4>Its statements</h4><p>{escape(record.answer.get('verification', ''))}</p>"
        )
    parts += [_statement(s, judged.get(s["text"])) for s in record.answer["statements"]]
    if record.facts:
        rows = "".join(
            f"<li>{escape(f.fact.text)}<small>{'vital' if f.fact.vital else 'further'}; "
            f"{_render_judged(f.found)}</small></li>"
            for f in record.facts
        )
        parts.append(f"<h4>Facts it should hold</h4><ul>{rows}</ul>")
    if record.reference:
        parts.append(f"<h4>A right answer</h4><p>{escape(record.reference)}</p>")
    parts.append(_papers(record))
    return "".join(parts)


def _statement(statement: dict[str, Any], judged: JudgedStatement | None) -> str:
    """Return one sentence with its verdicts and citations as HTML."""
    said = []
    if not statement["citations"]:
        said.append("uncited" if statement["claim"] else "claims nothing")
    if judged:
        said.append(f"judge, by the papers shown: {_render_judged(judged.shown)}")
        if judged.cited and len(judged.each) > 1:
            said.append(f"by the papers cited, together: {_render_judged(judged.cited)}")
    each = judged.each if judged else {}
    cited = "".join(_citation(c, each.get(c["paper"])) for c in statement["citations"])
    return f"<p>{escape(statement['text'])}<small>{'; '.join(said)}</small></p>{cited}"


def _citation(citation: dict[str, Any], judged: Judged | None) -> str:
    quotes = "".join(f"<q>{escape(quote['text'])}</q>" for quote in citation["quotes"])
    said = f"check: {_render_verdict(citation['verdict'], citation['reason'])}"
    if judged:
        said += f"; judge: {_render_judged(judged)}"
    title = escape(citation["title"])
    return f"<p class=cite>[{citation['number']}] {title}<small>{said}</small>{quotes}</p>"


def _render_judged(judged: Judged) -> str:
    return _render_verdict(judged.verdict, judged.reason, absent="unscored")


def _render_verdict(verdict: Verdict | None, reason: str, absent: str = "unchecked") -> str:
    sign = VERDICTS[verdict or "unchecked"].sign
    return f"{sign} {verdict or absent}, {escape(reason)}"


def _papers(record: Record) -> str:
    gold = ", ".join(map(escape, record.gold)) or "none"
    ranked = "".join(
        f"<li{' class=gold' if paper in record.gold else ''}>{escape(paper)}</li>"
        for paper in record.ranked[:10]
    )
    evidence = "".join(f"<q>{escape(text)}</q>" for text in record.evidence)
    gold += f"<span class=cite>{evidence}</span>" if evidence else ""
    return f"<h4>Gold papers</h4><p>{gold}</p><h4>Found</h4><ol>{ranked}</ol>"
