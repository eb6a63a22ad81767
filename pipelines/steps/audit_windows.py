"""Findings of an audit: differences between the API and the lake in windows that should no longer change."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from warehouse.lake.due_windows import is_settled
from warehouse.lake.fold import FoldResult
from warehouse.windows import StorageWindow


@dataclass(frozen=True)
class AuditFindings:
    """Rows that were missing here, that have changed at iPlum, and that were deleted at iPlum."""

    missing: int = 0
    changed: int = 0
    deleted: int = 0

    @property
    def total(self) -> int:
        """The number of differing rows."""
        return self.missing + self.changed + self.deleted

    def __str__(self) -> str:
        return f"{self.missing:,} missing here, {self.changed:,} changed at iPlum, {self.deleted:,} deleted at iPlum"

    def __add__(self, other: "AuditFindings") -> "AuditFindings":
        return AuditFindings(self.missing + other.missing, self.changed + other.changed, self.deleted + other.deleted)


NO_FINDINGS = AuditFindings()


def find_audit_findings(
    fold: FoldResult, window: StorageWindow, *, now: datetime, lookback: timedelta
) -> AuditFindings:
    """Return what an audit's fold added that should have been here before; `now` is aware UTC.

    Rows that the next sync would have added are not findings: those in the look-back, and those of windows not
    pulled, or not with all of the audit's usage types, since they left it. In a window that was never complete, all
    added rows are findings.
    """
    before = fold.before
    was_complete = before is not None and before.complete_at is not None
    types = [name for name, at in fold.state.complete_types.items() if at == fold.state.complete_at]
    if window.end + lookback > now or (was_complete and not is_settled(before, window, lookback, types, now=now)):
        return NO_FINDINGS
    absent_before = 0 if before is None else before.absent
    return AuditFindings(fold.new, fold.changed, max(0, fold.state.absent - absent_before))
