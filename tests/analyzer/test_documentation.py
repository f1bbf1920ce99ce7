from pathlib import Path

from deeplocalize.analyzer.rules import CURVE_RULES, RULES, CurveRule, Rule
from deeplocalize.analyzer.rules.documentation import rules_markdown

PAGE = Path(__file__).parents[2] / "docs" / "rules.md"


def test_the_page_of_rules_is_what_the_rules_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == rules_markdown(), (
        "run: python -m deeplocalize.analyzer.rules.documentation > docs/rules.md"
    )


def test_every_rule_tells_its_reason_source_and_false_alarms() -> None:
    rules: list[Rule | CurveRule] = [*RULES, *CURVE_RULES]
    for rule in rules:
        assert rule.reason.endswith(".")
        assert rule.source
        assert rule.false_alarms
