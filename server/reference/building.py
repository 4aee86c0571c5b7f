"""Make the reference profile of a version from a file: what `tidegate profile build` does.

Decides the order: the first rows show which outputs are probabilities, a sample of all rows shows
where the bins lie, then all rows are counted. The file is read twice and never held. The model is
asked about the sample twice: to keep its answers would need as much room as the file.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from server.monitoring.columns import Kind, Layout, layout_of, probability_outputs
from server.monitoring.hours import HOUR_SECONDS, Cycle, Seconds
from server.monitoring.profile import Profile, Source
from server.monitoring.profile_reading import MAX_HOUR_COUNTS
from server.monitoring.profiling import Difference, ProfileBuilder
from server.monitoring.sampling import Sample, Sampler, Words, sample_rows
from server.monitoring.scoring import ScorePlan, label_words, other_class, plan_score
from server.monitoring.taking import VALUE
from server.operator_errors import DataInvalid
from server.reference.answering import Answers
from server.reference.matching import Matching, label_values, match
from server.reference.tables import Chunk, Table
from server.reference.times import seconds_of
from server.statistics.categories import MAX_KEPT, count_words
from server.statistics.categories import Words as WordCounts

DECIDING_ROWS = 512
MAX_LABELS = 1000
"""More of them are no classes; the others are not remembered."""

Progress = Callable[[str, float], None]
"""Told the step that goes on and how much of it is done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Options:
    """What somebody knows of the data."""

    labels: str = ""
    """The column of labels; empty for none."""
    positive: str | None = None
    categorical: Sequence[str] = ()
    ignored: Sequence[str] = ()
    is_ordered: bool = True
    time: str = ""
    """The column of moments; empty for none."""


@dataclass(frozen=True, slots=True)
class Built:
    """A profile, and what to tell about it."""

    profile: Profile
    differences: list[Difference]
    """Columns whose first half of the rows does not look like the second."""
    notes: list[str] = field(default_factory=list)


class Builder:
    """One file of one version of a model."""

    def __init__(
        self,
        answers: Answers,
        features: Mapping[str, Sequence[str]],
        table: Table,
        options: Options,
        progress: Progress,
    ) -> None:
        self._answers = answers
        self._features = features
        self._table = table
        self._options = options
        self._progress = progress
        others = [*options.ignored, *filter(None, (options.labels, options.time))]
        self._matching: Matching = match(answers.signature, features, table.names, others)
        needed = {name for names in self._matching.columns.values() for name in names}
        for name in options.ignored:
            if name in needed:
                raise DataInvalid(
                    f"'{name[:64]}' is a feature of the model, and cannot be passed over",
                    fix="leave out --ignore for it: the model needs it to answer",
                )
        self._rows = 0
        self._labels: WordCounts = Counter()
        self._span: tuple[float, float] | None = None
        """The first and the last moment, if rows have any."""

    def build(self, model: str, version: str, digest: str, source: Source) -> Built:
        """Read the file and return the profile; `source` need not know the rows.

        Raises:
            DataInvalid: the file, or what the model answers to it, cannot make one.

        """
        sample = self._sample(self._layout())
        plan, notes = None, []
        if self._options.labels:
            sample, plan = self._scored(sample)
            if plan is None:
                notes.append("the labels are not used: the model answers no probabilities")
        cycle = None if self._span is None else cycle_of(*self._span, sample)
        builder = ProfileBuilder(
            sample, self._rows, is_ordered=self._options.is_ordered, score=plan, cycle=cycle
        )
        counted = 0
        for chunk, labels in self._chunks("counting all rows"):
            tensors = self._matching.tensors(chunk)
            outputs = self._answers.of(tensors, chunk.places)
            inputs = sample.layout.inputs.blocks(tensors)
            answers = sample.layout.outputs.blocks(outputs)
            builder.add(inputs, answers, labels, self._seconds(chunk))
            counted += chunk.rows
        if counted != self._rows:
            raise DataInvalid(
                f"the file had {self._rows} rows, then {counted}",
                fix="try again when nobody writes to it",
            )
        profile = builder.build(
            model, version, digest, replace(source, rows=counted), is_self_reference=False
        )
        return Built(profile, builder.differences_of_halves(profile), notes)

    def _layout(self) -> Layout:
        """Decide the columns by what the model answers to the first rows."""
        first = next(iter(self._table.chunks()), None)
        if first is None:
            raise DataInvalid("the file has no rows", fix="name a file with rows")
        first = first.only(np.arange(min(DECIDING_ROWS, first.rows)))
        outputs = self._answers.of(self._matching.tensors(first), first.places)
        signature = self._answers.signature
        kinds = probability_outputs(signature, outputs)
        plain = layout_of(signature, self._features, kinds)
        known = {column.name for column in plain.columns if column.take.startswith(VALUE)}
        unknown = [name for name in self._options.categorical if name not in known]
        if unknown:
            raise DataInvalid(
                f"--categorical '{unknown[0][:64]}': no column of the model goes by that name",
                fix=f"name one of {', '.join(sorted(known)[:10])}",
            )
        chosen = dict.fromkeys(self._options.categorical, Kind.CATEGORY)
        return layout_of(signature, self._features, kinds | chosen)

    def _sample(self, layout: Layout) -> Sample:
        """Read the file once for its rows, its labels and a sample."""
        sampler = Sampler(layout, sample_rows(layout))
        self._rows, self._labels = 0, Counter()
        for chunk, labels in self._chunks("looking at the rows"):
            self._rows += chunk.rows
            seconds = self._seconds(chunk)
            if seconds is not None:
                first, last = self._span or (np.inf, -np.inf)
                self._span = min(first, float(seconds.min())), max(last, float(seconds.max()))
            if labels is not None and len(self._labels) < MAX_LABELS:
                self._labels.update(count_words(list(labels)))
            chosen = sampler.choose(chunk.rows)
            if len(chosen):
                tensors = self._matching.tensors(chunk.only(chosen))
                outputs = self._answers.of(tensors, chunk.places[chosen])
                sampler.add(layout.inputs.blocks(tensors), layout.outputs.blocks(outputs))
        return sampler.sample()

    def _seconds(self, chunk: Chunk) -> Seconds | None:
        name = self._options.time
        return seconds_of(chunk.columns[name], name, chunk.places) if name else None

    def _scored(self, sample: Sample) -> tuple[Sample, ScorePlan | None]:
        """Decide what to compare with the labels; look again if that is the other class."""
        sample = _with_lone_score(sample, self._labels)
        plan = plan_score(sample, self._labels, self._options.positive)
        if plan is None or not plan.is_of_other_class:
            return sample, plan
        sample = self._sample(other_class(sample.layout, plan.column))
        return sample, plan_score(sample, self._labels, self._options.positive)

    def _chunks(self, step: str) -> Iterator[tuple[Chunk, Words | None]]:
        """Read all rows, and their labels as words."""
        self._progress(step, 0.0)
        for chunk in self._table.chunks():
            labels = None
            if self._options.labels:
                labels = label_words(label_values(chunk.columns[self._options.labels]))
            yield chunk, labels
            self._progress(step, chunk.share)
        self._progress(step, 1.0)


def cycle_of(first: float, last: float, sample: Sample) -> Cycle:
    """Choose hours of the week if each of them was there twice, else hours of the day.

    `first` and `last` are moments in seconds. Of very many columns, only hours of the day are kept.

    Raises:
        DataInvalid: the rows cover less than a day, or there are too many columns for any hours.

    """
    hours = (last - first) / HOUR_SECONDS + 1.0  # Rows begin and end within an hour.
    if hours < Cycle.DAY.hours:
        raise DataInvalid(
            f"the rows cover {hours - 1.0:.1f} hours: what is usual at each hour needs a day",
            fix="give rows of a day or, better, of some weeks; or leave out --time",
        )
    width = sum(bins.count + 4 for group in (0, 1) for bins in sample.bins(group))
    width += (MAX_KEPT + 2) * sum(len(group.words) for group in sample.layout.groups)
    fitting = [cycle for cycle in Cycle if cycle.hours * width <= MAX_HOUR_COUNTS]
    if not fitting:
        raise DataInvalid(
            f"{len(sample.layout.columns)} columns are too many for a reference by hours",
            fix="leave out --time",
        )
    is_long = hours >= 2 * Cycle.WEEK.hours and Cycle.WEEK in fitting
    return Cycle.WEEK if is_long else Cycle.DAY


def _with_lone_score(sample: Sample, labels: WordCounts) -> Sample:
    """Take a single output for a probability, if its values and the labels look like that."""
    columns = sample.layout.outputs.numbers
    classes = sum(1 for word in labels if word is not None)
    if len(columns) != 1 or columns[0].take != f"{VALUE}0" or classes > 2:
        return sample
    values = sample.sides[1].numbers[:, 0]
    finite = values[np.isfinite(values)]
    if not finite.size or finite.min() < 0 or finite.max() > 1:
        return sample
    layout = Layout.of(
        replace(column, kind=Kind.PROBABILITY) if column is columns[0] else column
        for column in sample.layout.columns
    )
    return replace(sample, layout=layout)
