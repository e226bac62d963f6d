from support.run import asynchronous
from vaultloop.components.rule.component import RuleComponent
from vaultloop.components.rule.kind import RuleSpec
from vaultloop.model.change import Action, Change
from vaultloop.model.policy import Audience, Policy
from vaultloop.model.resource import Ref, Resource, Source

FAMILY = Policy("family", Audience.GROUP)


def rule(name: str, body: str, *scopes: str, order: int = 100, paused: bool = False) -> Change[RuleSpec]:
    spec = RuleSpec(body=body, scopes=scopes, order=order, paused=paused)
    return Change(Action.CREATE, None, Resource(Ref("rule", name), spec, Source(f"agent/{name}.md", "0")))


@asynchronous
async def test_rules_stand_in_their_order_and_then_by_name() -> None:
    async with RuleComponent() as rules:
        for change in (rule("b", "Third."), rule("z", "First.", order=1), rule("a", "Second.")):
            await rules.apply(change)
        assert rules.contribute(FAMILY) == "First.\n\nSecond.\n\nThird."


@asynchronous
async def test_a_rule_holds_in_its_scopes_and_without_any_in_all() -> None:
    async with RuleComponent() as rules:
        for change in (
            rule("a", "All."),
            rule("b", "Family.", "family", "garden"),
            rule("c", "Owner.", "owner"),
        ):
            await rules.apply(change)
        assert rules.contribute(FAMILY) == "All.\n\nFamily."
        assert rules.contribute(Policy("owner", Audience.OWNER)) == "All.\n\nOwner."


@asynchronous
async def test_a_paused_rule_says_nothing() -> None:
    async with RuleComponent() as rules:
        await rules.apply(rule("a", "Quiet.", paused=True))
        assert rules.contribute(FAMILY) == ""
