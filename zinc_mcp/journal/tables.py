"""The journal's tables: entries and their events, payments, saved addresses, and what belongs to it as a whole."""

import sqlalchemy as sa

TABLES = sa.MetaData()

META = sa.Table(
    "zinc_meta",
    TABLES,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

ENTRIES = sa.Table(
    "zinc_entries",
    TABLES,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("key", sa.String(36), nullable=False),
    sa.Column("caller", sa.String(64), nullable=False),
    sa.Column("mode", sa.String(8), nullable=False),
    sa.Column("origin", sa.String(300), nullable=False),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("rail", sa.String(16), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False, server_default="order"),
    sa.Column("twin", sa.String(64), nullable=False),
    sa.Column("body_digest", sa.String(64), nullable=False),
    sa.Column("body", sa.LargeBinary),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("lease_owner", sa.String(64)),
    sa.Column("lease_until", sa.Double),
    sa.Column("lease_boot", sa.String(64)),
    sa.Column("lease_taken", sa.Double),
    sa.Column("lease_seconds", sa.Double),
    sa.Column("sender", sa.String(160)),
    sa.Column("ceiling_cents", sa.BigInteger, nullable=False),
    sa.Column("fee_cents", sa.BigInteger, nullable=False),
    sa.Column("reserved_cents", sa.BigInteger, nullable=False),
    sa.Column("spent_cents", sa.BigInteger),
    sa.Column("counts_cents", sa.BigInteger, nullable=False),
    sa.Column("authorised_cents", sa.BigInteger),
    sa.Column("refunded_cents", sa.BigInteger),
    sa.Column("order_id", sa.String(100)),
    sa.Column("status", sa.String(60)),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("first_sent_at", sa.Double),
    sa.Column("opened_at", sa.Double, nullable=False),
    sa.Column("counted_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Column("zinc_at", sa.Double),
    sa.Column("seen", sa.String(64)),
    sa.Column("consent", sa.Text),
    sa.Column("problem", sa.Text),
    sa.Column("facts", sa.Text, nullable=False),
)

EVENTS = sa.Table(
    "zinc_events",
    TABLES,
    sa.Column("entry_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("what", sa.String(80), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
)

PAYMENTS = sa.Table(
    "zinc_payments",
    TABLES,
    sa.Column("entry_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("asked_at", sa.Double, nullable=False),
    sa.Column("credential", sa.Text),
    sa.Column("settle_by", sa.Double),
    sa.Column("recovery", sa.Text, nullable=False),
    sa.Column("order_key", sa.Text),
)

ADDRESSES = sa.Table(
    "zinc_addresses",
    TABLES,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("fields", sa.Text, nullable=False),
)

NEAR_TWINS = sa.Table(
    "zinc_near_twins",
    TABLES,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("entry_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,  # its key is all of it: one page less in each commit
)

PINS = sa.Table(
    "zinc_pins",
    TABLES,
    sa.Column("caller", sa.String(64), primary_key=True),
    sa.Column("kept", sa.Text),
    sa.Column("ends", sa.Double),
    sa.Column("page_wrong", sa.Integer, nullable=False, server_default="0"),
    sa.Column("page_free_at", sa.Double),
    sa.Column("terminal_wrong", sa.Integer, nullable=False, server_default="0"),
    sa.Column("terminal_free_at", sa.Double),
)

_SENT = ENTRIES.c.state.not_in(["refused", "declined"])

# The conditions of partial indices, as the statements that they serve say them: literal text, since SQLite does not use
# such an index where a condition is hidden behind a parameter (SQLite, "Partial Indexes", section 3).
IS_ORDER = sa.text("kind = 'order'")
"""Look-ups stand in the same table, and in no list of orders."""
UNFINISHED = sa.text("state IN ('waiting', 'signing', 'sending', 'unknown', 'accepted')")
"""Somebody still has to move it on: `entry.OPEN`."""
ANY_MODE = sa.text("mode IN ('live', 'test', 'sandbox')")
"""Lets an index that begins with the mode be searched for all of them."""
COUNTING = sa.text("counts_cents > 0")
"""It takes something from the limits."""
UNPROVED = sa.text(
    "rail = 'agent' AND counts_cents > 0 AND state IN ('failed', 'cancelled', 'rejected', 'paid_no_order')"
)
"""Paid up front, ended without an order, and not proved to have come back."""
FORGETTABLE = sa.text(
    "body IS NOT NULL AND state IN ('placed', 'failed', 'cancelled', 'rejected', 'refused', 'declined')"
)
"""It is over, nobody has to ask about it any more, and what was ordered is still kept."""

# A key that was refused before anything was sent may be used again: nobody but us has seen it.
sa.Index(
    "zinc_entries_key",
    ENTRIES.c.key,
    ENTRIES.c.caller,
    ENTRIES.c.mode,
    unique=True,
    sqlite_where=_SENT,
    postgresql_where=_SENT,
)
sa.Index("zinc_entries_handle", ENTRIES.c.key)
sa.Index("zinc_entries_order", ENTRIES.c.order_id)
sa.Index("zinc_entries_twin", ENTRIES.c.twin, ENTRIES.c.caller, ENTRIES.c.mode)
UNPROVED_INDEX = sa.Index(
    "zinc_entries_unproved",
    ENTRIES.c.mode,
    ENTRIES.c.caller,
    ENTRIES.c.counts_cents,
    sqlite_where=UNPROVED,
    postgresql_where=UNPROVED,
)
UNFINISHED_INDEX = sa.Index(
    "zinc_entries_unfinished", ENTRIES.c.mode, ENTRIES.c.state, sqlite_where=UNFINISHED, postgresql_where=UNFINISHED
)
sa.Index(
    "zinc_entries_counting",
    ENTRIES.c.mode,
    ENTRIES.c.caller,
    ENTRIES.c.counted_at,
    ENTRIES.c.counts_cents,
    sqlite_where=COUNTING,
    postgresql_where=COUNTING,
)
LISTED_INDEX = sa.Index(
    "zinc_entries_listed", ENTRIES.c.mode, ENTRIES.c.id, sqlite_where=IS_ORDER, postgresql_where=IS_ORDER
)
FORGETTABLE_INDEX = sa.Index(
    "zinc_entries_forgettable", ENTRIES.c.updated_at, sqlite_where=FORGETTABLE, postgresql_where=FORGETTABLE
)
