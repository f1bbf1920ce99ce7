"""What replays say about a fix, and in which order that puts the suspects."""

from collections.abc import Sequence

from ..causes import Suspect
from ..outcome import POOR_SKILL
from ..trial import Spread, Status, Trial, spread_of

# Skill that a fix must gain to count: what the known faults' repairs had to gain in
# `benchmarks/faults` to count as observable.
MIN_GAIN = 0.1

# A gain counts where it is this many standard errors away from what it is compared with.
N_ERRORS = 2.0


def judge(change: str, skills: Sequence[float], unchanged: Sequence[float]) -> Trial:
    """What a fix's replays say, against the unchanged ones of the same rounds."""
    gains = [one - other for one, other in zip(skills, unchanged, strict=False)]
    reached, gain = spread_of(skills), spread_of(gains)
    margin = N_ERRORS * gain.standard_error
    if gain.mean >= MIN_GAIN and gain.mean > margin and min(gains) > 0:
        status, reason = Status.VERIFIED, ""
    elif spread_of(unchanged).mean > 1 - MIN_GAIN:
        status, reason = Status.INCONCLUSIVE, "the unchanged replay learns, too"
    elif gain.mean + margin < MIN_GAIN:
        status, reason = Status.REFUTED, ""
    else:
        status, reason = Status.INCONCLUSIVE, "the gain is within the noise"
    return Trial(status, change, reached, gain, reason)


def ranked(suspects: Sequence[Suspect]) -> tuple[Suspect, ...]:
    """Verified ones first, by what their fixes gain (in steps of `MIN_GAIN`), refuted ones last."""

    def place(suspect: Suspect) -> tuple[int, int]:
        trial = suspect.trial
        if trial is None or trial.gain is None or trial.status is Status.INCONCLUSIVE:
            return 1, 0
        if trial.status is Status.REFUTED:
            return 2, 0
        return 0, -round(trial.gain.mean / MIN_GAIN)

    return tuple(sorted(suspects, key=place))


def conclusion(trials: Sequence[Trial], unchanged: Spread) -> str:
    """What all trials come to."""
    if not trials:
        learns = "learns" if unchanged.mean >= POOR_SKILL else "comes less than half of the way"
        return f"There was nothing to verify: no suspects. The unchanged replay {learns}."
    statuses = {trial.status for trial in trials}
    if Status.VERIFIED in statuses:
        return ""
    if unchanged.mean > 1 - MIN_GAIN:
        return "The unchanged replay learns: these batches do not show the fault."
    if Status.REFUTED in statuses:
        return "No fix alone makes it learn: it is another cause, or there is more than one."
    return ""
