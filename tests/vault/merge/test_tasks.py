import pytest

from vaultloop.vault.merge.tasks import joined


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("- [x] buy milk", "- [ ] buy oat milk", "- [x] buy oat milk"),
        ("- [x] buy milk ✅ 2026-11-22", "- [ ] buy bread", "- [x] buy bread ✅ 2026-11-22"),
        ("  - [ ] buy milk", "- [-] buy milk", "  - [-] buy milk"),
        ("- [x] buy milk", "- [x] buy milk", "- [x] buy milk"),
        ("- [ ] buy milk #shop", "- [ ] please buy milk", "- [ ] please buy milk #shop"),
    ],
)
def test_a_task_is_joined_by_its_mark_and_its_words(one: str, other: str, both: str) -> None:
    base = "- [ ] buy milk"
    assert joined(base, one, other) == joined(base, other, one) == both
    assert joined(base, both, one) == joined(base, other, both) == both


@pytest.mark.parametrize(
    ("base", "one", "other"),
    [
        ("- [ ] buy milk", "- [ ] buy bread", "- [ ] buy butter"),
        ("- [ ] buy milk", "- [x] buy milk", "- [-] buy milk"),
        ("buy milk", "buy oat milk", "buy milk now"),
        ("- [ ] buy milk", "- buy milk", "- [x] buy milk"),
    ],
    ids=["same word", "same mark", "no task", "a task no more"],
)
def test_what_cannot_be_told_apart_is_not_joined(base: str, one: str, other: str) -> None:
    assert joined(base, one, other) is None
