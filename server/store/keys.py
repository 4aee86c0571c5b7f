"""Whose counts, which alert: the names that rows of the store go by.

Values only, apart from the tables: importing SQLAlchemy takes a third of a second, and control
names these before it needs the store.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose counts they are. Counts of another profile have other bins and never mix."""

    model: str
    version: str
    profile_hash: str


@dataclass(frozen=True, slots=True)
class AlertKey:
    """Which alert: a rule about a column, or about a version as a whole if `column` is empty."""

    model: str
    version: str
    rule: str
    column: str


@dataclass(frozen=True, slots=True)
class EvidenceKey:
    """Whose evidence: a version beside the live one, in one epoch of the model's release."""

    model: str
    version: str
    epoch: str


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A request that may be sent again: the caller's key, the model, and a hash of all the rest."""

    key: str
    model: str
    body_hash: str
    """Of the verb and the body: with other ones the key stands for another request."""
