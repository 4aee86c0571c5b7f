"""Results as Markdown: a table for each scenario, who leads where, what does not count.

Pure: results to text.
"""

from collections.abc import Iterator

from loadtests.proof.results import (
    FIGURES,
    Figure,
    Measured,
    Outcome,
    Results,
    Spread,
    leads,
    paired,
    rivals,
)

IDLE_CORES = 0.02
"""What the other targets may do meanwhile before it is said."""
LATE_SHARE = 0.2
"""Of the least p50: a load generator later than that says little about latency."""


def report(results: Results) -> str:
    """Return everything."""
    machine = ", ".join(results.machine.values())
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    lines = [
        f"`{results.command}`",
        "",
        f"{results.when}, commit {results.commit}; {machine}; {versions}. "
        f"Medians of {results.rounds} x {results.seconds} s, ranges in brackets.",
    ]
    for outcome in results.outcomes:
        lines += ["", *_outcome(outcome)]
    lines += ["", *_leads(results)]
    return "\n".join(lines)


def _outcome(outcome: Outcome) -> Iterator[str]:
    at_rate = f", {outcome.rate:,.0f} requests/s due" if outcome.rate else ""
    rows = f"{outcome.rows} row{'s' * (outcome.rows > 1)}"
    yield f"**{outcome.scenario}** ({rows} a request{at_rate})"
    yield ""
    heads = " | ".join(figure.words for figure in FIGURES)
    yield f"| target | {heads} | rate ratio | CPU ratio | runs |"
    yield "|---" * (len(FIGURES) + 4) + "|"
    measured = [one for one in outcome.targets if one.runs]
    for one in measured:
        yield _row(one, measured[0])
    yield from _notes(outcome)


def _row(one: Measured, first: Measured) -> str:
    cells = [_cell(figure, one.spread(figure.key)) for figure in FIGURES]
    cells += [
        _ratio(paired(first, one, key))
        for key in ("requests_per_second", "cpu_seconds_per_request")
    ]
    bad = len(one.troubles)
    cells.append(f"{len(one.runs) - bad}{f' ({bad} invalid)' if bad else ''}")
    return f"| {one.target} | {' | '.join(cells)} |"


def _cell(figure: Figure, seen: Spread | None) -> str:
    """Return a median, and the range of several runs."""
    if seen is None:
        return "invalid"
    middle, low, high = map(figure.shown, (seen.median, seen.low, seen.high))
    return f"{middle} [{low}, {high}]" if seen.count > 1 else middle


def _ratio(seen: Spread | None) -> str:
    if seen is None:
        return ""
    ends = f" [{seen.low:.2f}, {seen.high:.2f}]" if seen.count > 1 else ""
    return f"{seen.median:.2f}{ends}"


def _notes(outcome: Outcome) -> Iterator[str]:
    """Say what was left out, and what makes figures doubtful."""
    notes = []
    for one in outcome.targets:
        if one.missing:
            notes.append(f"{one.target} is missing: {one.missing}")
        if one.troubles:
            notes.append(f"{one.target}, runs that do not count: {'; '.join(one.troubles)}")
        others = max((run.others_cores for run in one.runs), default=0.0)
        if others > IDLE_CORES:
            notes.append(f"beside {one.target}, the others took {others:.2f} cores while idle")
        late = max((run.sent_late_p99_seconds for run in one.runs), default=0.0)
        p50 = one.spread("p50_seconds")
        if p50 and late > LATE_SHARE * p50.median:
            notes.append(f"for {one.target}, the client itself was late: p99 {late * 1e3:.1f} ms")
    if notes:
        yield ""
        yield from (f"* {note}" for note in notes)


def _leads(results: Results) -> Iterator[str]:
    """Say in which scenarios somebody else is before the gateway, in every round."""
    found = [lead for outcome in results.outcomes for lead in leads(outcome)]
    yield "**Where others lead**"
    yield ""
    if not any(rivals(outcome) for outcome in results.outcomes):
        yield "No other server was measured beside the gateway."
        return
    if not found:
        yield "Nowhere: in no scenario is another target before the gateway in every round."
        return
    yield "| scenario | figure | leader | its figure / the gateway's |"
    yield "|---|---|---|---|"
    for lead in found:
        yield (f"| {lead.scenario} | {lead.figure.words} | {lead.leader} | {_ratio(lead.ratio)} |")
