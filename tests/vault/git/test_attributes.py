"""What `.gitattributes` says is read from a tree as git reads it from a checkout."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.commits import commit
from support.vault_clone import VaultClone
from vaultloop.vault.git import attributes
from vaultloop.vault.git.attributes import Attributes, attributes_of, is_pointer
from vaultloop.vault.git.repository import Repository

PATHS = (
    *("a.png", "b.md", "x y.md", "ü.md", "secret", "a[1].md", "#c.md"),
    *("notes/a.png", "notes/deep/a.png", "notes/deep/b.md", "secret/key.md", "notes/secret/key.md"),
)
PATTERN = st.one_of(
    st.sampled_from(
        [
            *("*", "*.png", "**", "**/a.png", "a.???", "notes/*", "notes/**", "/a.png", "notes/*.png"),
            *("notes/**/a.png", "secret/", "secret/**", "[ab].*", "[!a]*", "[^b]*.md", "[[:alpha:]]*"),
            *('"x y.md"', '"\\303\\274.md"', "ü.md", "a\\[1].md", "a[[]1].md", "deep/*", "\\#c.md", "!b.md"),
            *("[a", "*/key.md", "**/secret/**", "*.p[n-n]g", "no**s/a.png", "n?tes/**"),
        ]
    ),
    st.text("ab*?/.[]!-md", min_size=1, max_size=6).filter(lambda text: not text.startswith("#")),
)
WORD = st.sampled_from(
    ["filter=lfs", "filter=git-crypt", "-filter", "!filter", "filter", "text", "crypt", "-crypt", "binary"]
)
LINE = st.one_of(
    st.tuples(PATTERN, st.lists(WORD, min_size=1, max_size=3)).map(lambda it: " ".join([it[0], *it[1]])),
    st.sampled_from(["", "# filter=lfs", "[attr]crypt filter=git-crypt", "[attr]crypt -filter"]),
)
FILE = st.lists(LINE, max_size=4).map("\n".join)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> VaultClone:
    human = VaultClone.fresh(tmp_path_factory.mktemp("attributes"))
    human.write("notes/deep/x", "")
    return human


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(top=FILE, below=FILE)
def test_every_path_has_the_value_that_git_gives_it(checkout: VaultClone, top: str, below: str) -> None:
    checkout.write(".gitattributes", top + "\n")
    checkout.write("notes/.gitattributes", below + "\n")
    told = checkout.git("check-attr", "-z", "filter", "--", *PATHS).split("\0")

    def read(path: str) -> bytes | None:
        file = checkout.path / path
        return file.read_bytes() if file.is_file() else None

    ours = Attributes(read)
    words = {None: "unspecified", True: "set", False: "unset"}
    values = {path: ours.value(path, "filter") for path in PATHS}
    found = {path: value if isinstance(value, str) else words[value] for path, value in values.items()}
    assert found == dict(zip(told[0::3], told[2::3], strict=False))


def test_a_bare_repository_tells_it_of_each_commit(tmp_path: Path) -> None:
    repository = Repository.bare(tmp_path / "vault.git")
    open_ = commit(repository, None, {"pic.png": "x", "keys/a.md": "y"})
    closed = commit(
        repository, open_, {".gitattributes": "*.png filter=lfs", "keys/.gitattributes": "* filter=git-crypt"}
    )
    before, after = (attributes_of(repository.files(revision)) for revision in (open_, closed))
    paths = ("pic.png", "keys/a.md", "keys/deep/b.md", "note.md")
    assert [before.filtered(path) for path in paths] == [False, False, False, False]
    assert [after.filtered(path) for path in paths] == [True, True, True, False]
    assert attributes.filtered(repository.files(closed), "pic.png")


def test_a_pointer_of_lfs_is_known_by_its_content() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12345\n"
    assert is_pointer(pointer)
    assert not is_pointer(pointer + b"x" * 1024)
    assert not is_pointer(b"A note about version https://git-lfs.github.com/spec/v1\n")
