"""Counts by time, alerts and their log, events on their way to a webhook."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "subject",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("profile_hash", sa.Text, nullable=False),
        sa.UniqueConstraint("model", "version", "profile_hash"),
    )
    op.create_table(
        "cell",
        sa.Column(
            "subject_id",
            sa.Integer,
            sa.ForeignKey("subject.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("start_seconds", sa.Float, primary_key=True),
        sa.Column("end_seconds", sa.Float, primary_key=True),
        sa.Column("ordinal", sa.Integer, primary_key=True),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("counts", sa.LargeBinary, nullable=False),
        sa.Column("checksum", sa.Integer, nullable=False),
    )
    _alerts()
    _outbox()


def _alerts() -> None:
    names = ("model", "version", "rule", "column")
    op.create_table(
        "alert",
        *(sa.Column(name, sa.Text, primary_key=True) for name in names),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("since_seconds", sa.Float, nullable=False),
        sa.Column("raised_seconds", sa.Float),
        sa.Column("streak", sa.Integer, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("saved_seconds", sa.Float, nullable=False),
    )
    op.create_table(
        "alert_log",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at_seconds", sa.Float, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in names),
        sa.Column("before", sa.Text, nullable=False),
        sa.Column("after", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
    )
    op.create_index("alert_log_of_model", "alert_log", ["model", "id"])


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("dedupe_key", sa.Text, nullable=False),
        sa.Column("is_outstanding", sa.Boolean, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created_seconds", sa.Float, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_try_seconds", sa.Float),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("last_error", sa.Text, nullable=False),
    )
    op.create_index(
        "outbox_outstanding",
        "outbox",
        ["dedupe_key"],
        unique=True,
        sqlite_where=sa.text("is_outstanding"),
    )
    op.create_index("outbox_next_try", "outbox", ["next_try_seconds"])
