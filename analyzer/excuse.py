"""What excuses a symptom: a run that went well shows that no harm came of it."""

from collections.abc import Iterable
from dataclasses import replace

from .findings import Finding
from .outcome import Outcome
from .rules.rule import Severity
from .rules.stillness import UNCHANGED_WEIGHT


def excused(findings: Iterable[Finding], outcome: Outcome) -> tuple[Finding, ...]:
    """The findings, with those made notices that did no harm in a run of this outcome.

    Layers that nothing takes (heads of a pretrained model), or whose output is detached on purpose
    (random features), are given no gradient and never move, and the model learns all the same.
    """
    return tuple(
        replace(finding, severity=Severity.NOTICE)
        if outcome.is_fine
        and finding.rule == UNCHANGED_WEIGHT.name
        and finding.severity is Severity.SEVERE
        else finding
        for finding in findings
    )
