"""Desks and accounts, instruments, candles, signals, executions, trades and news.

Every owned row has an account; `visible_to(user)` is the only way a user reaches rows. Candle
series and news belong to a desk, or to nobody (shared, written by administrators).
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from .fields import ExactDecimalField


class Role(models.IntegerChoices):
    TRADER = 1, "trader"
    REVIEWER = 2, "reviewer"
    LEAD = 3, "lead"
    ADMIN = 4, "admin"


class Desk(models.Model):
    name = models.CharField(max_length=80)
    is_demo = models.BooleanField(default=False)
    source_order = models.JSONField(
        default=list, blank=True, help_text="Candle sources in order of preference"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    desk = models.ForeignKey(Desk, on_delete=models.CASCADE, related_name="memberships")
    role = models.PositiveSmallIntegerField(choices=Role.choices, default=Role.TRADER)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "desk"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user} at {self.desk} as {self.get_role_display()}"


def visible_accounts(user: Any) -> models.QuerySet[Account]:
    """Accounts a user may read: the user's own, and those of desks reviewed, led or run."""
    if not getattr(user, "is_authenticated", False) or not user.is_active:
        return Account.objects.none()
    desks = Membership.objects.filter(user=user, role__gte=Role.REVIEWER).values("desk")
    return Account.objects.filter(Q(owner=user) | Q(desk__in=desks))


def editable_accounts(user: Any) -> models.QuerySet[Account]:
    """Accounts a user may change: the user's own, and those of desks led or run."""
    if not getattr(user, "is_authenticated", False) or not user.is_active:
        return Account.objects.none()
    desks = Membership.objects.filter(user=user, role__gte=Role.LEAD).values("desk")
    return Account.objects.filter(Q(owner=user) | Q(desk__in=desks))


def visible_desks(user: Any) -> models.QuerySet[Desk]:
    if not getattr(user, "is_authenticated", False) or not user.is_active:
        return Desk.objects.none()
    return Desk.objects.filter(memberships__user=user)


class OwnedQuerySet(models.QuerySet[Any]):
    """Rows with an account."""

    def visible_to(self, user: Any) -> OwnedQuerySet:
        return self.filter(account__in=visible_accounts(user).values("pk"))

    def editable_by(self, user: Any) -> OwnedQuerySet:
        return self.filter(account__in=editable_accounts(user).values("pk"))


class SharedQuerySet(models.QuerySet[Any]):
    """Rows of a desk, or of nobody (shared with everybody)."""

    def visible_to(self, user: Any) -> SharedQuerySet:
        return self.filter(Q(desk=None) | Q(desk__in=visible_desks(user).values("pk")))

    def for_desk(self, desk: Desk) -> SharedQuerySet:
        return self.filter(Q(desk=None) | Q(desk=desk))


class Account(models.Model):
    desk = models.ForeignKey(Desk, on_delete=models.CASCADE, related_name="accounts")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="accounts"
    )
    name = models.CharField(max_length=80)
    currency = models.CharField(max_length=10, default="USD")
    time_zone = models.CharField(max_length=64, default="UTC")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["desk", "name"], name="account_name_once")]

    def __str__(self) -> str:
        return self.name


class Instrument(models.Model):
    """What is traded. `point` is the grid of stored prices, `pip` the unit traders speak in."""

    symbol = models.CharField(max_length=30, unique=True)
    base = models.CharField(max_length=12, blank=True)
    quote = models.CharField(max_length=12, blank=True)
    kind = models.CharField(
        max_length=10,
        choices=[(k, k) for k in ("fx", "metal", "crypto", "other")],
    )
    point = ExactDecimalField()
    pip = ExactDecimalField()
    tick = ExactDecimalField()

    def __str__(self) -> str:
        return self.symbol


class InstrumentAlias(models.Model):
    """Another name of an instrument in some source ("EURUSD.pro", "BTCUSDT")."""

    alias = models.CharField(max_length=60, unique=True)
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="aliases")

    def __str__(self) -> str:
        return f"{self.alias} -> {self.instrument}"


class ImportBatch(models.Model):
    """One import: what was read, what was found, and what is needed to undo it."""

    class Kind(models.TextChoices):
        CANDLES = "candles"
        TRADES = "trades"
        SIGNALS = "signals"
        NEWS = "news"

    class Status(models.TextChoices):
        DONE = "done"
        UNDONE = "undone"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DONE)
    desk = models.ForeignKey(Desk, on_delete=models.CASCADE, null=True, blank=True)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, null=True, blank=True)
    file_name = models.CharField(max_length=255)
    file_sha256 = models.CharField(max_length=64)
    format = models.CharField(max_length=40)
    time_zone = models.CharField(max_length=64, blank=True)
    counts = models.JSONField(default=dict, help_text="read, inserted, updated, unchanged, skipped")
    problems = models.JSONField(default=list)
    options = models.JSONField(default=dict, help_text="What was given or understood")
    undo_data = models.BinaryField(null=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    created_at = models.DateTimeField(auto_now_add=True)
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.kind} from {self.file_name}"


class CandleSeries(models.Model):
    """A series of bars of one instrument, timeframe and source. Times at rest are UTC bar opens."""

    class Kind(models.TextChoices):
        TRADE = "trade"
        MID = "mid"
        BID_ASK = "bid_ask"

    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="series")
    timeframe = models.CharField(max_length=6)
    source = models.CharField(max_length=60)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    point = ExactDecimalField()
    tz_of_origin = models.CharField(max_length=64, blank=True)
    desk = models.ForeignKey(
        Desk, on_delete=models.CASCADE, null=True, blank=True, related_name="series"
    )
    scope_key = models.CharField(
        max_length=120, unique=True, editable=False, help_text="desk|symbol|timeframe|source|kind"
    )
    first_time = models.DateTimeField(null=True, blank=True)
    last_time = models.DateTimeField(null=True, blank=True)
    n_bars = models.BigIntegerField(default=0)

    objects = SharedQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "candle series"

    def __str__(self) -> str:
        return f"{self.instrument.symbol} {self.timeframe} ({self.source})"


class CandleChunk(models.Model):
    """The bars of one ISO week (or longer bucket for long bars), packed (`core/candles.pack`)."""

    series = models.ForeignKey(CandleSeries, on_delete=models.CASCADE, related_name="chunks")
    week = models.IntegerField(help_text="ISO week as whole weeks since Monday 1970-01-05")
    n = models.IntegerField()
    first_time = models.BigIntegerField(help_text="ns UTC")
    last_time = models.BigIntegerField(help_text="ns UTC")
    blob = models.BinaryField()
    sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["series", "week"], name="chunk_once")]

    def __str__(self) -> str:
        return f"{self.series_id} week {self.week}"


class CandleRevision(models.Model):
    """A bar that a later import changed: what it was before."""

    series = models.ForeignKey(CandleSeries, on_delete=models.CASCADE, related_name="revisions")
    batch = models.ForeignKey(ImportBatch, on_delete=models.CASCADE, related_name="revisions")
    time = models.DateTimeField()
    before = models.BinaryField(help_text="The old bar, packed as a chunk of one")

    class Meta:
        indexes = [models.Index(fields=["series", "time"])]

    def __str__(self) -> str:
        return f"{self.series_id} at {self.time}"


class Signal(models.Model):
    """A proposed position. Called "insight" in older documents."""

    class EntryKind(models.TextChoices):
        MARKET = "market"
        LIMIT = "limit"
        STOP = "stop"

    class Source(models.TextChoices):
        FEED = "feed", "signal feed"
        TRADE = "trade", "the trader's own, taken from a trade"

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="signals")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT)
    external_id = models.CharField(max_length=120, blank=True)
    dedupe_key = models.CharField(max_length=64)
    source = models.CharField(max_length=10, choices=Source.choices, default=Source.FEED)
    time = models.DateTimeField()
    timeframe = models.CharField(max_length=6)
    side = models.SmallIntegerField(choices=[(1, "long"), (-1, "short")])
    entry_price = ExactDecimalField()
    entry_kind = models.CharField(
        max_length=10, choices=EntryKind.choices, default=EntryKind.MARKET
    )
    stop_loss = ExactDecimalField(null=True, blank=True)
    take_profit = ExactDecimalField(null=True, blank=True)
    score = models.FloatField(null=True, blank=True)
    score_semantics = models.CharField(
        max_length=12, blank=True, choices=[("probability", "probability"), ("rank", "rank")]
    )
    min_score = models.FloatField(null=True, blank=True)
    strategy = models.CharField(max_length=80, blank=True)
    strategy_kind = models.CharField(
        max_length=16,
        default="unknown",
        choices=[(k, k) for k in ("trend", "mean_reversion", "unknown")],
    )
    claimed_setups = models.JSONField(
        null=True, blank=True, help_text="Setup names; empty = none claimed, null = unknown"
    )
    model_version = models.CharField(max_length=60, blank=True)
    confidence = models.FloatField(null=True, blank=True)
    truth_index = models.FloatField(null=True, blank=True)
    indicators = models.JSONField(default=dict, blank=True)
    heads = models.JSONField(default=dict, blank=True)
    regime = models.CharField(max_length=40, blank=True)
    import_batch = models.ForeignKey(
        ImportBatch, on_delete=models.SET_NULL, null=True, blank=True, related_name="signals"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "dedupe_key"], name="signal_once")
        ]
        indexes = [
            models.Index(fields=["account", "-time"]),
            models.Index(fields=["instrument", "time"]),
        ]

    def __str__(self) -> str:
        return f"{self.get_side_display()} {self.instrument.symbol} at {self.time:%Y-%m-%d %H:%M}"


class Trade(models.Model):
    """A round trip built from executions. Prices are averages of the fills, as given.

    `stop_loss_initial` is set only where the source proves it; a statement's last stop is
    `stop_loss_final`. `commission` and `swap` are costs with the broker's sign (negative = paid).
    """

    class ExitReason(models.TextChoices):
        SL = "sl", "stop"
        TP = "tp", "target"
        TIME = "time"
        MANUAL = "manual"
        UNKNOWN = "", "unknown"

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="trades")
    signal = models.ForeignKey(Signal, on_delete=models.CASCADE, related_name="trades")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT)
    external_id = models.CharField(max_length=120, blank=True)
    dedupe_key = models.CharField(max_length=64)
    side = models.SmallIntegerField(choices=[(1, "long"), (-1, "short")])
    quantity = ExactDecimalField()
    requested_entry = ExactDecimalField(null=True, blank=True)
    entry_price = ExactDecimalField()
    opened_at = models.DateTimeField()
    requested_exit = ExactDecimalField(null=True, blank=True)
    exit_price = ExactDecimalField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    exit_reason = models.CharField(
        max_length=8, choices=ExitReason.choices, default=ExitReason.UNKNOWN, blank=True
    )
    exit_reason_text = models.CharField(max_length=60, blank=True, help_text="As the file says")
    stop_loss_initial = ExactDecimalField(null=True, blank=True)
    stop_loss_final = ExactDecimalField(null=True, blank=True)
    take_profit = ExactDecimalField(null=True, blank=True)
    commission = ExactDecimalField(null=True, blank=True)
    swap = ExactDecimalField(null=True, blank=True)
    gross_pnl = ExactDecimalField(null=True, blank=True)
    net_pnl = ExactDecimalField(null=True, blank=True)
    pnl_currency = models.CharField(max_length=12, blank=True)
    strategy = models.CharField(max_length=80, blank=True)
    on_plan = models.BooleanField(null=True, blank=True)
    tags = models.JSONField(default=list, blank=True)
    mistakes = models.JSONField(default=list, blank=True)
    stars = models.PositiveSmallIntegerField(null=True, blank=True)
    notes = models.TextField(blank=True)
    reviewed_at = models.DateTimeField(null=True, blank=True)
    import_batch = models.ForeignKey(
        ImportBatch, on_delete=models.SET_NULL, null=True, blank=True, related_name="trades"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "dedupe_key"], name="trade_once")]
        indexes = [
            models.Index(fields=["account", "-opened_at"]),
            models.Index(fields=["account", "-closed_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.get_side_display()} {self.instrument.symbol} {self.opened_at:%Y-%m-%d %H:%M}"


class Execution(models.Model):
    """One fill, as given. `dedupe_key`: the broker's execution id, else a content hash that
    counts identical fills."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="executions")
    trade = models.ForeignKey(Trade, on_delete=models.CASCADE, related_name="executions", null=True)
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT)
    external_id = models.CharField(max_length=120, blank=True)
    dedupe_key = models.CharField(max_length=64)
    time = models.DateTimeField()
    side = models.SmallIntegerField(choices=[(1, "buy"), (-1, "sell")])
    quantity = ExactDecimalField()
    price = ExactDecimalField()
    commission = ExactDecimalField(null=True, blank=True)
    import_batch = models.ForeignKey(
        ImportBatch, on_delete=models.CASCADE, null=True, blank=True, related_name="executions"
    )

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "dedupe_key"], name="execution_once")
        ]
        indexes = [models.Index(fields=["account", "instrument", "time"])]

    def __str__(self) -> str:
        return f"{self.get_side_display()} {self.quantity} at {self.price}"


class NewsFeed(models.Model):
    """An imported calendar and the span it is known to cover. Outside it news is unknown, which
    is not the same as no news. `currencies` empty = every currency."""

    desk = models.ForeignKey(Desk, on_delete=models.CASCADE, null=True, blank=True)
    name = models.CharField(max_length=255)
    covers_from = models.DateTimeField()
    covers_to = models.DateTimeField()
    currencies = models.JSONField(default=list, blank=True)
    import_batch = models.ForeignKey(
        ImportBatch, on_delete=models.CASCADE, null=True, blank=True, related_name="news_feeds"
    )

    objects = SharedQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class NewsEvent(models.Model):
    class Impact(models.IntegerChoices):
        LOW = 0, "low"
        MEDIUM = 1, "medium"
        HIGH = 2, "high"

    feed = models.ForeignKey(NewsFeed, on_delete=models.CASCADE, related_name="events")
    desk = models.ForeignKey(Desk, on_delete=models.CASCADE, null=True, blank=True)
    time = models.DateTimeField()
    currency = models.CharField(max_length=10)
    title = models.CharField(max_length=300)
    impact = models.SmallIntegerField(choices=Impact.choices)
    actual = models.CharField(max_length=40, blank=True)
    forecast = models.CharField(max_length=40, blank=True)
    surprise_z = models.FloatField(null=True, blank=True)
    dedupe_key = models.CharField(max_length=64, unique=True)

    objects = SharedQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["time", "currency"])]
        ordering = ["time"]

    def __str__(self) -> str:
        return f"{self.currency} {self.title} at {self.time:%Y-%m-%d %H:%M}"


class Outage(models.Model):
    """A span in which the broker, the platform or the feed did not work."""

    desk = models.ForeignKey(Desk, on_delete=models.CASCADE, null=True, blank=True)
    start = models.DateTimeField()
    end = models.DateTimeField()
    what = models.CharField(max_length=200)

    objects = SharedQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.what} from {self.start:%Y-%m-%d %H:%M}"
