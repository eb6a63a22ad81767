"""Findings of an audit: differences between the API and the lake in windows that should no longer change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from warehouse.lake.due_windows import is_settled
from warehouse.lake.fold import FoldResult
from warehouse.windows import StorageWindow


@dataclass(frozen=True)
class AuditFindings:
    """Rows that were missing here, whose fields have changed at the API, and that the API no longer has."""

    missing: int = 0
    changed: int = 0
    gone: int = 0

    @property
    def total(self) -> int:
        """How many rows differ in any way."""
        return self.missing + self.changed + self.gone

    def __add__(self, other: AuditFindings) -> AuditFindings:
        return AuditFindings(self.missing + other.missing, self.changed + other.changed, self.gone + other.gone)


NO_FINDINGS = AuditFindings()


def find_mismatches(
    fold: FoldResult, window: StorageWindow, *, now: datetime, lookback: timedelta
) -> AuditFindings:
    """Say what an audit's fold brought that should have been here before; `now` is aware UTC.

    What the next sync would have brought anyway is no difference: rows of a window that is still looked back at,
    or that was not pulled since it left the look-back. A window that never was whole lacks all that comes.
    """
    before = fold.before
    was_whole = before is not None and before.complete_at is not None
    if window.end + lookback > now or (was_whole and not is_settled(before, window, lookback)):
        return NO_FINDINGS
    absent_before = 0 if before is None else before.absent
    return AuditFindings(fold.new, fold.changed, max(0, fold.state.absent - absent_before))
