"""The plots of a report's page, by plotly; `eval.html` puts them in, with plotly's script."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from eval.abstention import risk_coverage
from eval.metrics import seconds, tokens

if TYPE_CHECKING:
    from eval.report import Report, Score

_COLOUR = "#2f6f8f"


def plots(report: Report) -> list[str]:
    """Every plot as a piece of HTML."""
    return [_intervals(report), _by_kind(report), _risk(report), *_histograms(report)]


def _intervals(report: Report) -> str:
    import plotly.graph_objects as go

    rows = [score for score in report.scores[::-1] if _is_share(score)]
    figure = go.Figure(
        go.Scatter(
            x=[score.mean for score in rows],
            y=[score.name for score in rows],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [(score.high or 0) - score.mean for score in rows],
                "arrayminus": [score.mean - (score.low or 0) for score in rows],
            },
            mode="markers",
            marker={"color": _COLOUR, "size": 9},
        )
    )
    figure.update_xaxes(range=[-0.02, 1.02])
    return _render_plot(
        figure, "Every figure between 0 and 1, with its 95% interval", 40 + 24 * len(rows)
    )


def _is_share(score: Score) -> bool:
    """Return whether a score lies between 0 and 1 and has an interval."""
    is_cost = score.axis in {"cost", "robustness"}
    return score.kind == "all" and score.low is not None and not is_cost


def _by_kind(report: Report) -> str:
    import plotly.graph_objects as go

    figure = go.Figure()
    for name in ("recall@5", "vital_facts", "evidence_shown", "false_refusal", "false_answer"):
        own = [s for s in report.scores if s.name == name and s.kind != "all"]
        if own:
            figure.add_bar(name=name, x=[s.kind for s in own], y=[s.mean for s in own])
    figure.update_yaxes(range=[0, 1])
    return _render_plot(figure, "By kind of question", 360)


def _risk(report: Report) -> str:
    import plotly.graph_objects as go

    curve = risk_coverage(report.run.records)
    figure = go.Figure(
        go.Scatter(
            x=[share for share, _ in curve], y=[risk for _, risk in curve],
            mode="lines", line={"color": _COLOUR},
        )
    )  # fmt: skip
    figure.update_xaxes(title="share of questions answered, most confident first", range=[0, 1])
    figure.update_yaxes(title="share of these that is wrong", range=[0, 1])
    return _render_plot(figure, "Risk and coverage", 360)


def _histograms(report: Report) -> list[str]:
    import plotly.graph_objects as go

    found = []
    for title, value in (("Seconds an answer", seconds), ("Tokens an answer", tokens)):
        values = [v for v in map(value, report.run.records) if v is not None]
        if values:
            figure = go.Figure(go.Histogram(x=values, marker={"color": _COLOUR}, nbinsx=40))
            found.append(_render_plot(figure, title, 300))
    return found


def _render_plot(figure: Any, title: str, height: int) -> str:
    figure.update_layout(
        template="plotly_white",
        height=max(height, 240),
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        font={"size": 14},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    figure.update_yaxes(automargin=True)
    drawn = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        config={"displayModeBar": False, "responsive": True},
    )
    return f"<figure><figcaption>{escape(title)}</figcaption>{drawn}</figure>"
