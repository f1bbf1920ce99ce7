"""Trains, records, analyses and prints; see ``--help``."""

import argparse
from pathlib import Path

from . import known, mutations, zoo
from .analyzers import ANALYZERS, ours
from .judge import Opinion, Trial, names_cause, rank, trials
from .page import markdown, summary
from .program import Case, Group, Part
from .train import Training
from .workers import train_all

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "effectiveness.md"
FOLDER = REPOSITORY / "build" / "faults"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument(
        "--folder",
        type=Path,
        default=FOLDER,
        help="where traces are kept; empty it after a change to the recorder",
    )
    parser.add_argument("--processes", type=int, default=2, help="trainings at a time")
    parser.add_argument(
        "--held-back", action="store_true", help="also the held-back part, as totals only"
    )
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}; all parts")
    parser.add_argument("--each", action="store_true", help="one line per case of development")
    options = parser.parse_args()
    is_complete = options.held_back or options.write
    chosen = [
        case
        for case in all_cases()
        if is_complete or case.part is not Part.HELD_BACK or case.group is Group.HEALTHY
    ]
    trained: dict[str, tuple[Case, Training]] = {
        case.name: (case, training)
        for case, training in train_all(chosen, options.folder, options.processes)
        if training is not None
    }
    run = [
        trial for trial in trials(trained) if is_complete or trial.case.part is not Part.HELD_BACK
    ]
    opinions = {
        name: {trial.case.name: analyzer(trial.training.trace) for trial in run}
        for name, analyzer in (ANALYZERS if is_complete else {"deeplocalize": ours}).items()
    }
    if options.each:
        for trial in run:
            print(_line(trial, opinions["deeplocalize"][trial.case.name]))
    print(summary(run, opinions))
    if options.write:
        refused = [case.name for case in chosen if case.name not in trained]
        PAGE.write_text(markdown(run, opinions, refused))
        print(f"wrote {PAGE}")


def all_cases() -> list[Case]:
    """Every case; parents and known programs before what is compared with them."""
    return [*known.cases(), *zoo.cases(), *mutations.cases()]


def _line(trial: Trial, opinion: Opinion) -> str:
    case = trial.case
    if case.part is Part.HELD_BACK:
        return ""
    place = rank(opinion, case.answers)
    mark = "apart" if trial.apart else str(place or ("cause" if any(
        names_cause(guess, case.answers) for guess in opinion.guesses[:1]
    ) else "-"))  # fmt: skip
    said = ", ".join(
        f"{guess.cause}{'' if guess.layer is None else f'@{guess.layer}'} {guess.confidence:.2f}"
        for guess in opinion.guesses[:3]
    )
    return (
        f"{mark:6} {case.group:8} {case.name:45} skill {trial.training.skill:.2f} "
        f"{opinion.verdict:8} {said} {trial.apart}"
    )


if __name__ == "__main__":
    main()
