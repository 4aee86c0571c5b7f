"""The tables of the store, as the newest revision has them.

Decides names, types and keys. Times are seconds since 1970. How a file of an older revision gets
here is in `migrations/`; a test says that both ways lead to the same tables.

What a flipped bit could turn into a wrong count has a checksum: SQLite itself has none.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

METADATA = MetaData()

REVISION = Table(
    "alembic_version",
    METADATA,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""One row: the revision. The table is alembic's, and as alembic makes it."""

SUBJECT = Table(
    "subject",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("profile_hash", Text, nullable=False),
    UniqueConstraint("model", "version", "profile_hash"),
)

CELL = Table(
    "cell",
    METADATA,
    Column("subject_id", Integer, ForeignKey("subject.id", ondelete="CASCADE"), primary_key=True),
    Column("start_seconds", Float, primary_key=True),
    Column("end_seconds", Float, primary_key=True),
    # Several cells may begin and end at one moment, when very many rows come at once.
    Column("ordinal", Integer, primary_key=True),
    Column("is_open", Boolean, nullable=False),
    Column("counts", LargeBinary, nullable=False),
    Column("checksum", Integer, nullable=False),
)

ALERT = Table(
    "alert",
    METADATA,
    Column("model", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("column", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("since_seconds", Float, nullable=False),
    Column("raised_seconds", Float),
    Column("streak", Integer, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("saved_seconds", Float, nullable=False),
)

ALERT_LOG = Table(
    "alert_log",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("at_seconds", Float, nullable=False),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("column", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Index("alert_log_of_model", "model", "id"),
)

OUTBOX = Table(
    "outbox",
    METADATA,
    Column("event_id", Text, primary_key=True),
    Column("dedupe_key", Text, nullable=False),
    # Whether its key is taken: until whatever the event was about is over.
    Column("is_outstanding", Boolean, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_seconds", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    # None when there is nothing more to try.
    Column("next_try_seconds", Float),
    Column("outcome", Text, nullable=False),
    Column("last_error", Text, nullable=False),
    Index(
        "outbox_outstanding",
        "dedupe_key",
        unique=True,
        sqlite_where=text("is_outstanding"),
    ),
    Index("outbox_next_try", "next_try_seconds"),
)

ROUTE = Table(
    "route",
    METADATA,
    Column("model", Text, primary_key=True),
    Column("generation", Integer, nullable=False),
    # JSON of a ReleaseRoute.
    Column("route", Text, nullable=False),
    Column("checksum", Integer, nullable=False),
    Column("saved_seconds", Float, nullable=False),
)
"""The release state of each model: the one row that decides what is served."""

AUDIT = Table(
    "audit",
    METADATA,
    Column("seq", Integer, primary_key=True),
    Column("at_seconds", Float, nullable=False),
    Column("actor", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("from_generation", Integer, nullable=False),
    Column("to_generation", Integer, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("audit_of_model", "model", "seq"),
)
"""Every change of a release. Rows are added, and never changed or deleted."""

AUDIT_HEAD = Table(
    "audit_head",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("hash", Text, nullable=False),
)
"""One row: the newest of the audit, so that it is seen if the last ones are gone."""

IDEMPOTENCY = Table(
    "idempotency",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("body_hash", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("at_seconds", Float, nullable=False),
    Index("idempotency_at", "at_seconds"),
)

EVIDENCE = Table(
    "evidence",
    METADATA,
    Column("model", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("epoch", Text, primary_key=True),
    # JSON.
    Column("evidence", Text, nullable=False),
    Column("checksum", Integer, nullable=False),
    Column("saved_seconds", Float, nullable=False),
)

PREDICTION_BLOCK = Table(
    "prediction_block",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("digest", Text, nullable=False),
    # Blocks of one kind may be joined, those of the lowest level first.
    Column("kind", Integer, nullable=False),
    Column("level", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("first_us", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    Column("has_own_ids", Boolean, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("checksum", Integer, nullable=False),
    Index("prediction_block_last_us", "last_us"),
)
"""Kept answers that wait for their labels, many in a row."""

LABEL = Table(
    "label",
    METADATA,
    Column("at_us", BigInteger, primary_key=True),
    Column("tag", BigInteger, primary_key=True),
    Column("row", Integer, primary_key=True),
    # JSON, as are first labels.
    Column("label", Text, nullable=False),
    Column("first_label", Text, nullable=False),
    Column("is_acted_on", Boolean, nullable=False),
    Column("received_seconds", Float, nullable=False),
    Column("corrections", Integer, nullable=False),
)

COHORT = Table(
    "cohort",
    METADATA,
    *(
        Column(name, Text, primary_key=True)
        for name in ("model", "version", "digest", "task", "role", "segment")
    ),
    Column("is_acted_on", Boolean, primary_key=True),
    Column("hour", Integer, primary_key=True),
    # Rows that were kept, labelled or not.
    Column("predicted", Integer, nullable=False),
    # JSON of LabelCounts, compressed; empty without labels.
    Column("counts", LargeBinary, nullable=False),
    Column("checksum", Integer, nullable=False),
)
"""What labels say of the predictions of an hour, or in a segment of a day."""

LABEL_PAIR = Table(
    "label_pair",
    METADATA,
    *(
        Column(name, Text, primary_key=True)
        for name in ("model", "live", "live_digest", "candidate", "candidate_digest")
    ),
    Column("both", Integer, nullable=False),
    Column("live_only", Integer, nullable=False),
    Column("candidate_only", Integer, nullable=False),
    Column("neither", Integer, nullable=False),
)
"""Rows that two versions answered, by who was right."""
