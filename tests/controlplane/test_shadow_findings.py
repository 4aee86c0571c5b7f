"""A candidate that fails again and again is not run any more."""

from server.controlplane.shadow_findings import MAX_FINDINGS, WITHIN_SECONDS, Findings

KEY, OTHER = ("m", "2", "e"), ("m", "3", "e")


def test_findings_in_quick_succession_suspend_the_candidate_once() -> None:
    """The last of five says so; those after it, and other candidates, change nothing."""
    findings = Findings()
    told = [findings.note(KEY, float(second)) for second in range(MAX_FINDINGS + 2)]

    assert told == [False] * (MAX_FINDINGS - 1) + [True, False, False]
    assert findings.suspended == {KEY}
    assert not findings.note(OTHER, 0.0)


def test_findings_far_apart_do_not() -> None:
    """One now and then is a finding, and no more."""
    findings = Findings()
    for number in range(50):
        assert not findings.note(KEY, number * (WITHIN_SECONDS / (MAX_FINDINGS - 1) + 1))


def test_what_is_a_shadow_no_more_is_forgotten() -> None:
    """Another epoch of the same version begins with nothing against it."""
    findings = Findings()
    for second in range(MAX_FINDINGS):
        findings.note(KEY, float(second))
    findings.keep_only({OTHER})

    assert not findings.suspended
    assert not findings.note(KEY, 5.0)
