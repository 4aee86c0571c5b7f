"""Releases: the state of each model, the audit of its changes, answers and evidence to be kept."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables of releases."""
    op.create_table(
        "route",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("checksum", sa.Integer, nullable=False),
        sa.Column("saved_seconds", sa.Float, nullable=False),
    )
    _audit()
    op.create_table(
        "idempotency",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("body_hash", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=False),
        sa.Column("at_seconds", sa.Float, nullable=False),
    )
    op.create_index("idempotency_at", "idempotency", ["at_seconds"])
    op.create_table(
        "evidence",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("model", "version", "epoch")),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("checksum", sa.Integer, nullable=False),
        sa.Column("saved_seconds", sa.Float, nullable=False),
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("at_seconds", sa.Float, nullable=False),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("actor", "request_id", "action", "model")
        ),
        sa.Column("from_generation", sa.Integer, nullable=False),
        sa.Column("to_generation", sa.Integer, nullable=False),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("before", "after", "reason", "evidence", "prev_hash", "hash")
        ),
    )
    op.create_index("audit_of_model", "audit", ["model", "seq"])
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
