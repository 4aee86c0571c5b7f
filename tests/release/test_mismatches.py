"""A few samples of each kind are kept, and which ones does not depend on where they were put."""

from hypothesis import given
from hypothesis import strategies as st

from server.release.mismatches import MAX_KEPT, Mismatch, kept

samples = st.lists(
    st.builds(
        Mismatch,
        draw=st.floats(0, 1),
        kind=st.sampled_from(["nan", "label_flip"]),
        at_seconds=st.just(0.0),
        prediction_id=st.just(""),
        row=st.integers(0, 3),
        inputs=st.just({}),
        live=st.just({}),
        candidate=st.just({}),
    ),
    max_size=120,
    unique_by=lambda one: one.draw,
)


@given(samples)
def test_the_smallest_draws_of_each_kind_are_kept(samples: list[Mismatch]) -> None:
    """Of each kind MAX_KEPT at most, and none that is kept has a larger draw than another."""
    found = kept(samples)

    for kind in ("nan", "label_flip"):
        draws = sorted(one.draw for one in samples if one.kind == kind)
        assert [one.draw for one in found if one.kind == kind] == draws[:MAX_KEPT]
    assert len(found) == sum(
        min(MAX_KEPT, sum(one.kind == kind for one in samples)) for kind in ("nan", "label_flip")
    )


@given(samples, st.integers(0, 120))
def test_samples_of_two_processes_are_a_sample_of_both(samples: list[Mismatch], cut: int) -> None:
    """To keep some, and of those and others some again, is to keep some of all."""
    assert kept([*kept(samples[:cut]), *kept(samples[cut:])]) == kept(samples)
