from datetime import UTC, datetime

import pytest

from support.run import asynchronous
from vaultloop.components.scope.component import ScopeComponent
from vaultloop.components.scope.kind import ScopeSpec
from vaultloop.components.scope.policies import policy_of
from vaultloop.model.change import Action, Change
from vaultloop.model.conversation import Message
from vaultloop.model.errors import Denied, NotYet, Stalled
from vaultloop.model.policy import Audience
from vaultloop.model.resource import Ref, Resource, Source

OWNER_ID, ANN, STRANGER = "100", "200", "300"
FAMILY = "-1001"


def scope(name: str, **fields: object) -> Resource[ScopeSpec]:
    spec = ScopeSpec.model_validate({key.replace("_", "-"): value for key, value in fields.items()})
    return Resource(Ref("scope", name), spec, Source(f"agent/scopes/{name}.md", "0"))


def create(resource: Resource[ScopeSpec]) -> Change[ScopeSpec]:
    return Change(Action.CREATE, None, resource)


async def guard(*scopes: Resource[ScopeSpec]) -> ScopeComponent:
    component = ScopeComponent(owners=(OWNER_ID,))
    for each in scopes:
        await component.apply(create(each))
    return component


def said(chat: str, person: str) -> Message:
    channel = "console" if chat == "owner" else "telegram"
    return Message(channel, chat, "1", person, "hello", datetime(2026, 11, 22, tzinfo=UTC))


def admitted(component: ScopeComponent, chat: str, person: str) -> str:
    return component.admit(said(chat, person)).scope


@asynchronous
async def test_the_owner_speaks_in_the_private_chat_on_every_channel() -> None:
    component = await guard(scope("mine", chats="owner"))
    assert admitted(component, "owner", "owner") == "mine"
    assert admitted(component, OWNER_ID, OWNER_ID) == "mine"
    assert component.policy("mine").audience is Audience.OWNER


@asynchronous
async def test_nobody_else_speaks_in_the_owners_chat() -> None:
    component = await guard(scope("mine", chats="owner"))
    for chat in ("owner", OWNER_ID):
        with pytest.raises(Denied):
            component.admit(said(chat, STRANGER))


@asynchronous
async def test_a_chat_without_a_scope_is_refused() -> None:
    component = await guard(scope("mine", chats="owner"))
    with pytest.raises(Denied, match="no scope"):
        component.admit(said(FAMILY, OWNER_ID))


@asynchronous
async def test_only_listed_people_speak_in_a_group() -> None:
    component = await guard(scope("family", chats=[f"{FAMILY} Family"], people=[f"{ANN} Ann", "owner"]))
    assert admitted(component, FAMILY, ANN) == "family"
    assert admitted(component, FAMILY, OWNER_ID) == "family"
    assert component.policy("family").audience is Audience.GROUP
    with pytest.raises(Denied, match="not among the people"):
        component.admit(said(FAMILY, STRANGER))


@asynchronous
async def test_the_owners_id_in_a_note_means_the_owner_at_the_console_too() -> None:
    component = await guard(scope("mine", chats=OWNER_ID, people=OWNER_ID))
    assert admitted(component, "owner", "owner") == "mine"
    assert admitted(component, OWNER_ID, OWNER_ID) == "mine"
    assert component.policy("mine").audience is Audience.OWNER
    with pytest.raises(Denied, match="not among the people"):
        component.admit(said("owner", STRANGER))
    stranger = await guard(scope("other", chats=STRANGER, people=STRANGER))
    with pytest.raises(Denied):
        stranger.admit(said(STRANGER, "owner"))


@asynchronous
async def test_anyone_must_be_said_out_loud() -> None:
    component = await guard(scope("open", chats=FAMILY, people="anyone"))
    assert admitted(component, FAMILY, STRANGER) == "open"
    assert component.policy("open").audience is Audience.PUBLIC


@pytest.mark.parametrize("chat", [FAMILY, "owner"])
def test_an_empty_list_of_people_is_nobody(chat: str) -> None:
    @asynchronous
    async def nobody_speaks() -> None:
        component = await guard(scope("closed", chats=chat, people=[]))
        for person in ("owner", OWNER_ID, ANN):
            with pytest.raises(Denied):
                component.admit(said(chat, person))

    nobody_speaks()


@asynchronous
async def test_a_left_out_list_of_people_opens_no_group() -> None:
    component = await guard(scope("family", chats=FAMILY))
    with pytest.raises(Denied):
        component.admit(said(FAMILY, OWNER_ID))


@asynchronous
async def test_a_chat_that_two_scopes_claim_is_closed_until_one_lets_go() -> None:
    a, b = scope("a", chats=FAMILY, people="anyone"), scope("b", chats=[FAMILY], people=[ANN])
    component = await guard(a, b)
    with pytest.raises(Denied, match="closed at present"):
        component.admit(said(FAMILY, ANN))
    await component.apply(Change(Action.DELETE, b, None))
    assert admitted(component, FAMILY, ANN) == "a"


@asynchronous
async def test_a_paused_scope_closes_its_chats_and_says_so() -> None:
    component = await guard(scope("family", chats=FAMILY, people=ANN, paused="true"))
    with pytest.raises(Denied, match="paused"):
        component.admit(said(FAMILY, ANN))
    with pytest.raises(Denied, match="paused"):
        component.policy("family")


@asynchronous
async def test_a_paused_scope_does_not_hand_its_chat_to_a_wider_one() -> None:
    narrow = scope("a", chats=FAMILY, people=ANN, paused="true")
    component = await guard(narrow, scope("b", chats=FAMILY, people="anyone"))
    with pytest.raises(Denied):
        component.admit(said(FAMILY, STRANGER))


@pytest.mark.parametrize("chat", ["owner", OWNER_ID])
def test_the_owners_chat_keeps_the_scope_it_has(chat: str) -> None:
    @asynchronous
    async def the_second_one_is_stalled() -> None:
        component = await guard(scope("mine", chats="owner"))
        with pytest.raises(Stalled, match="`mine`") as caught:
            await component.apply(create(scope("other", chats=[chat, FAMILY], people="owner")))
        assert caught.value.cure
        assert set(component.observe()) == {Ref("scope", "mine")}
        assert admitted(component, "owner", "owner") == "mine"

    the_second_one_is_stalled()


@asynchronous
async def test_the_owners_scope_may_change_and_be_renamed() -> None:
    old = scope("mine", chats="owner")
    component = await guard(old)
    await component.apply(Change(Action.UPDATE, old, scope("me", chats="owner", can_read="**")))
    assert component.admit(said("owner", "owner")).can_read == ("**",)


@asynchronous
async def test_a_scope_for_schedules_is_known_by_name_only() -> None:
    component = await guard(scope("night", can_read="Notes"))
    assert component.policy("night").audience is Audience.CRON
    with pytest.raises(Denied, match="no scope `day`"):
        component.policy("day")


@asynchronous
async def test_a_policy_says_what_the_note_says() -> None:
    component = await guard(
        scope(
            "mine",
            chats="owner",
            can_read="Notes",
            can_write=["Inbox"],
            **{"except": "Inbox/old"},
            abilities="shell",
            stop_after="90s",
            max_steps="7",
            body="Be brief.",
        )
    )
    policy = component.policy("mine")
    assert (policy.can_read, policy.can_write, policy.abilities) == (("Notes",), ("Inbox",), ("shell",))
    assert (policy.stop_after.total_seconds(), policy.max_steps, policy.instructions) == (90, 7, "Be brief.")


@pytest.mark.parametrize(
    ("fields", "self_edit"),
    [
        ({"chats": "owner"}, "propose"),
        ({"chats": FAMILY, "people": "owner"}, "deny"),
        ({}, "deny"),
        ({"chats": "owner", "self_edit": "deny"}, "deny"),
        ({"chats": FAMILY, "people": ANN, "self_edit": "propose"}, "propose"),
    ],
)
def test_what_governs_the_agent_is_closed_to_all_but_the_owners_chat(
    fields: dict[str, object], self_edit: str
) -> None:
    @asynchronous
    async def as_the_note_says() -> None:
        component = await guard(scope("it", **fields))
        assert component.policy("it").self_edit == self_edit

    as_the_note_says()


@pytest.mark.parametrize(
    ("fields", "audience"),
    [
        ({"chats": ["owner", OWNER_ID], "people": ["owner", OWNER_ID]}, Audience.OWNER),
        ({"chats": OWNER_ID}, Audience.OWNER),
        ({"chats": OWNER_ID, "people": OWNER_ID}, Audience.OWNER),
        ({"chats": "owner", "people": ["owner", ANN]}, Audience.GROUP),
        ({"chats": ["owner", FAMILY], "people": "owner"}, Audience.GROUP),
        ({"chats": FAMILY, "people": [ANN, "anyone"]}, Audience.PUBLIC),
        ({"people": "owner"}, Audience.CRON),
    ],
)
def test_the_audience_is_derived_from_chats_and_people(fields: dict[str, object], audience: Audience) -> None:
    @asynchronous
    async def as_derived() -> None:
        component = await guard(scope("it", **fields))
        assert component.policy("it").audience is audience

    as_derived()


@asynchronous
async def test_a_scope_that_names_a_tool_server_waits_and_its_chats_hear_so() -> None:
    before = scope("family", chats=FAMILY, people=ANN, can_read="Notes")
    component = await guard(before)
    after = scope("family", chats=FAMILY, people=ANN, can_read="Notes", mcp_servers="wiki")
    with pytest.raises(Stalled, match="`wiki`") as caught:
        await component.apply(Change(Action.UPDATE, before, after))
    assert "Delete `mcp-servers`" in caught.value.cure
    with pytest.raises(Denied, match="cannot be answered here as yet"):
        component.admit(said(FAMILY, ANN))
    with pytest.raises(Denied):
        component.policy("family")
    # What is observed is less than what is desired, so that it stays stalled.
    assert component.observe()[after.ref] != after
    await component.apply(Change(Action.UPDATE, after, before))
    assert admitted(component, FAMILY, ANN) == "family"


@asynchronous
async def test_the_owners_own_chat_stays_open_without_the_tools() -> None:
    component = ScopeComponent(owners=())
    mine = scope("mine", chats="owner", can_read="Notes", mcp_servers="wiki")
    with pytest.raises(Stalled):
        await component.apply(create(mine))
    policy = component.admit(said("owner", "owner"))
    assert (policy.can_read, policy.mcp_servers) == (("Notes",), ())
    assert component.observe()[mine.ref] != mine


@asynchronous
async def test_a_scope_that_this_machine_cannot_fence_waits_and_strangers_hear_no_more() -> None:
    def confinement(audience: Audience) -> None:
        if audience is Audience.GROUP:
            raise Stalled("Landlock is missing (ENOSYS).", cure="Use a newer kernel.")

    component = ScopeComponent(owners=(), confinement=confinement)
    await component.apply(create(scope("mine", chats="owner")))
    with pytest.raises(Stalled, match="Landlock"):
        await component.apply(create(scope("family", chats=FAMILY, people=ANN)))
    with pytest.raises(Denied) as caught:
        component.admit(said(FAMILY, ANN))
    assert "Landlock" not in str(caught.value)
    assert admitted(component, "owner", "owner") == "mine"


@asynchronous
async def test_the_owner_of_a_machine_without_a_fence_still_reaches_the_guard() -> None:
    def confinement(_: Audience) -> None:
        raise Stalled("Landlock is missing (ENOSYS).", cure="Use a newer kernel.")

    component = ScopeComponent(owners=(), confinement=confinement)
    mine = scope("mine", chats="owner")
    with pytest.raises(Stalled, match="Landlock"):
        await component.apply(create(mine))
    assert admitted(component, "owner", "owner") == "mine"
    assert component.observe()[mine.ref] != mine


def test_a_policy_has_every_grant_and_limit_of_its_note() -> None:
    written = scope(
        "it",
        chats=FAMILY,
        people=ANN,
        attachments="none",
        mounts="photos",
        hosts="example.org",
        telegram_may="read",
        telegram_chats=FAMILY,
        budget_usd_per_day="2",
        budget_usd_per_month="30",
        messages_per_person_per_hour="5",
    )
    policy = policy_of(written, ())
    assert (policy.attachments, policy.mounts, policy.hosts) == ("none", ("photos",), ("example.org",))
    assert (policy.telegram_may, policy.telegram_chats) == (("read",), (FAMILY,))
    assert (policy.budget_usd_per_day, policy.budget_usd_per_month) == (2.0, 30.0)
    assert policy.messages_per_person_per_hour == 5


@asynchronous
async def test_a_refusal_names_scope_and_reason_to_an_owner_alone() -> None:
    lacking = scope("waiting", chats="-3", people=ANN, mcp_servers="wiki")
    component = await guard(
        scope("team", chats=FAMILY, people=ANN),
        scope("one", chats="-2", people=ANN),
        scope("two", chats="-2", people=ANN),
    )
    with pytest.raises(Stalled):
        await component.apply(create(lacking))
    for chat, name, person in ((FAMILY, "team", STRANGER), ("-2", "two", ANN), ("-3", "waiting", ANN)):
        with pytest.raises(Denied) as caught:
            component.admit(said(chat, person))
        assert name not in str(caught.value)
        for owner in (OWNER_ID, "owner"):
            with pytest.raises(Denied, match=name):
                component.admit(said(chat, owner))
    with pytest.raises(Denied, match=r"No component yet runs tool servers.*Delete `mcp-servers`"):
        component.admit(said("-3", OWNER_ID))


@asynchronous
async def test_commands_have_a_policy_while_a_scope_waits_but_only_for_its_people() -> None:
    component = ScopeComponent(owners=(OWNER_ID,))
    with pytest.raises(Stalled):
        await component.apply(
            create(scope("team", chats=FAMILY, people=ANN, commands="status", mcp_servers="wiki"))
        )
    with pytest.raises(NotYet) as caught:
        component.admit(said(FAMILY, ANN))
    assert caught.value.policy.commands == ("status",)
    with pytest.raises(Denied, match="not among the people"):
        component.admit(said(FAMILY, STRANGER))


@pytest.mark.parametrize("chats", ["owner", OWNER_ID, ["owner", OWNER_ID]])
def test_the_owner_reaches_the_own_chat_without_a_fence_however_it_is_written(chats: object) -> None:
    def confinement(_: Audience) -> None:
        raise Stalled("Landlock is missing (ENOSYS).", cure="Use a newer kernel.")

    @asynchronous
    async def reaches() -> None:
        component = ScopeComponent((OWNER_ID,), confinement)
        with pytest.raises(Stalled):
            await component.apply(create(scope("mine", chats=chats)))
        for chat in ("owner", OWNER_ID):
            assert component.admit(said(chat, chat)).audience is Audience.OWNER

    reaches()
