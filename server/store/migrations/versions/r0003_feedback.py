"""Feedback: kept predictions, their labels, and what these say by hour and by pair of versions."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables of feedback."""
    op.create_table(
        "prediction_block",
        sa.Column("id", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("model", "version", "digest")),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("kind", "level", "rows")),
        sa.Column("first_us", sa.BigInteger, nullable=False),
        sa.Column("last_us", sa.BigInteger, nullable=False),
        sa.Column("has_own_ids", sa.Boolean, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("checksum", sa.Integer, nullable=False),
    )
    op.create_index("prediction_block_last_us", "prediction_block", ["last_us"])
    op.create_table(
        "label",
        sa.Column("at_us", sa.BigInteger, primary_key=True),
        sa.Column("tag", sa.BigInteger, primary_key=True),
        sa.Column("row", sa.Integer, primary_key=True),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("first_label", sa.Text, nullable=False),
        sa.Column("is_acted_on", sa.Boolean, nullable=False),
        sa.Column("received_seconds", sa.Float, nullable=False),
        sa.Column("corrections", sa.Integer, nullable=False),
    )
    _counts()


def _counts() -> None:
    keys = ("model", "version", "digest", "task", "role", "segment")
    op.create_table(
        "cohort",
        *(sa.Column(name, sa.Text, primary_key=True) for name in keys),
        sa.Column("is_acted_on", sa.Boolean, primary_key=True),
        sa.Column("hour", sa.Integer, primary_key=True),
        sa.Column("predicted", sa.Integer, nullable=False),
        sa.Column("counts", sa.LargeBinary, nullable=False),
        sa.Column("checksum", sa.Integer, nullable=False),
    )
    pair = ("model", "live", "live_digest", "candidate", "candidate_digest")
    numbers = ("both", "live_only", "candidate_only", "neither")
    op.create_table(
        "label_pair",
        *(sa.Column(name, sa.Text, primary_key=True) for name in pair),
        *(sa.Column(name, sa.Integer, nullable=False) for name in numbers),
    )
