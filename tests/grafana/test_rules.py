"""What is shipped for Prometheus is whole: it can be loaded, is tested, documented, up to date."""

import math
import re
from typing import Any

import pytest
import yaml

from server.controlplane.monitor_counters import SCORE_SHIFT
from server.controlplane.monitor_metrics import MAX_FEATURES
from server.errors import TidegateError
from tests.support import documents, prometheus
from tests.support.documents import ROOT, in_code, page, tables
from tests.support.prometheus import RULE_FILES, RULES

RUNBOOKS = ROOT / "docs" / "runbooks"
DASHBOARDS = ROOT / "grafana" / "dashboards"


def loaded(name: str) -> Any:
    """Return a file of ours as YAML."""
    return yaml.safe_load((RULES / name).read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    """Return every rule of every group."""
    return [
        rule for name in RULE_FILES for group in loaded(name)["groups"] for rule in group["rules"]
    ]


ALERTS = [rule for rule in rules() if "alert" in rule]


def test_prometheus_and_alertmanager_read_the_files() -> None:
    """Their own programs find nothing wrong, and the configuration names all rules."""
    said = prometheus.run("promtool", "check", "config", RULES / "prometheus.yml")
    prometheus.run("amtool", "check-config", RULES / "alertmanager.yml")

    assert f"{len(RULE_FILES)} rule files found" in said
    assert set(loaded("prometheus.yml")["rule_files"]) == set(RULE_FILES)


@pytest.mark.parametrize("name", RULE_FILES)
def test_the_alerts_pass_their_unit_tests(name: str) -> None:
    """Each fires when it must, is silent on clean data, and ends: promtool says so."""
    prometheus.run("promtool", "test", "rules", RULES / name.replace(".yml", ".test.yml"))


@pytest.mark.parametrize("name", RULE_FILES)
def test_every_alert_has_a_unit_test(name: str) -> None:
    """There is a moment at which it fires, and a later one at which it does not any more."""
    moments: dict[str, list[tuple[float, bool]]] = {}
    for test in loaded(name.replace(".yml", ".test.yml"))["tests"]:
        for one in test.get("alert_rule_test", ()):
            minutes = float(one["eval_time"].removesuffix("m").replace("2h", "120"))
            moments.setdefault(one["alertname"], []).append((minutes, bool(one.get("exp_alerts"))))

    named = {
        rule["alert"]
        for group in loaded(name)["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    assert moments.keys() == named
    for alert, found in moments.items():
        firing = [minutes for minutes, is_firing in found if is_firing]
        assert firing, alert
        assert any(minutes > max(firing) and not is_firing for minutes, is_firing in found), alert


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_says_what_is_wrong_and_what_to_do(alert: dict[str, Any]) -> None:
    """Severity, a summary, a description with numbers or names, and a page that is there."""
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert "{{ $" in alert["annotations"]["summary"]
    assert len(alert["annotations"]["description"]) > len(alert["annotations"]["summary"])
    name = alert["alert"]
    assert alert["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    text = page(f"docs/runbooks/{name}.md")
    assert text.startswith(f"# {name}\n")
    assert f"`{alert['labels']['severity']}`" in text
    assert {"look-at", "mend"} <= documents.anchors(text)


def test_no_runbook_is_left_of_an_alert_that_is_gone() -> None:
    """The pages, and the table that leads to them, are those of what the rules raise."""
    listed = [in_link(row["Alert"]) for row in tables(page("docs/alerting.md"), "Alert")]

    assert {path.stem for path in RUNBOOKS.iterdir()} == {rule["alert"] for rule in ALERTS}
    assert sorted(listed) == sorted(rule["alert"] for rule in ALERTS)


def in_link(cell: str) -> str:
    """Return the text of a link."""
    return cell.removeprefix("[").partition("]")[0]


def documented_series() -> set[str]:
    """Return the names of all series in the tables of docs/metrics.md, those of histograms too."""
    names = set()
    for row in tables(page("docs/metrics.md"), "Metric"):
        (name,) = in_code(row["Metric"])
        ends = ("_bucket", "_sum", "_count") if row["Type"] == "histogram" else ("",)
        names |= {name + end for end in ends}
    return names


def test_rules_name_only_metrics_that_are_exported() -> None:
    """Each is in the tables of docs/metrics.md, or recorded by a rule."""
    documented = documented_series()
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    texts = [str(rule["expr"]) + str(rule.get("annotations", "")) for rule in rules()]
    named = {name for text in texts for name in re.findall(r"\btidegate_[\w:]+", text)}

    assert named <= documented | recorded


def test_every_recorded_series_is_used() -> None:
    """By another rule or a dashboard, or told of in the documents."""
    dashboards = "".join(path.read_text() for path in sorted(DASHBOARDS.glob("*.json")))
    everything = (
        page("docs/alerting.md")
        + dashboards
        + "".join(str(rule["expr"]) + str(rule.get("annotations", "")) for rule in rules())
    )
    for rule in rules():
        if "record" in rule:
            assert rule["record"] in everything, rule["record"]


def test_outcomes_in_rules_are_codes_of_errors() -> None:
    """A code that was renamed would make an alert silent."""
    codes = {cls.code for cls in subclasses(TidegateError)}
    text = "".join(str(rule["expr"]) for rule in rules())
    matches = re.findall(r'requests_total{outcome=~"([^"]+)"', text)
    named = {code for match in matches for code in match.split("|")}

    assert named
    assert named <= codes | {"ok", "client_gone"}


def subclasses(cls: type[TidegateError]) -> set[type[TidegateError]]:
    """Return a class of errors and all below it."""
    return {cls}.union(*(subclasses(child) for child in cls.__subclasses__()))


def expression(record: str) -> str:
    """Return the expression of the first rule that records a name."""
    return next(str(rule["expr"]) for rule in rules() if rule.get("record") == record)


def test_the_shift_of_scores_is_taken_off() -> None:
    """What control adds to every score, the rules subtract from their mean."""
    assert expression("tidegate_feature:score:mean").strip().endswith(f"- {SCORE_SHIFT:.0f}")
    assert MAX_FEATURES == 64


def test_the_error_function_has_eight_digits() -> None:
    """The polynomial in the rules is that of the two-sided normal tail, as far out as floats go."""
    text = expression("tidegate_feature:deviate:two_sided")
    constant = float(re.findall(r"/ 2 ([-+] [\d.]+)", text)[0].replace(" ", ""))
    factors = [float(one) for one in re.findall(r"deviate:t \* \((-?[\d.]+)", text)]
    assert len(factors) == 11

    for deviate in (step / 50.0 for step in range(1850)):
        t = 1.0 / (1.0 + deviate / 8.0**0.5)
        polynomial = sum(factor * t ** (power + 1) for power, factor in enumerate(factors))
        told = t * math.exp(-deviate * deviate / 2.0 + constant + polynomial)
        assert told == pytest.approx(math.erfc(deviate / math.sqrt(2.0)), rel=2e-8)
