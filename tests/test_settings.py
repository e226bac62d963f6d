"""The operator's settings."""

from datetime import timedelta
from pathlib import Path

import pytest

from vaultloop.model.policy import Audience
from vaultloop.settings import InvalidSettings, load


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_flag_wins_over_the_environment_and_the_environment_over_the_file(tmp_path: Path) -> None:
    config = write(
        tmp_path / "a" / "vaultloop.toml", 'folder = "v"\nbranch = "file"\npoll = "7s"\nsettle = "3s"\n'
    )
    environment = {"VAULTLOOP_BRANCH": "environment", "VAULTLOOP_POLL": "9s"}
    found = load({"branch": "flag"}, config=config, environment=environment)
    assert found.branch == "flag"
    assert found.poll == timedelta(seconds=9)
    assert found.settle == timedelta(seconds=3)


def test_the_file_is_found_by_variable_beside_the_caller_and_in_the_state_directory(tmp_path: Path) -> None:
    in_state = write(tmp_path / "xdg" / "vaultloop" / "vaultloop.toml", 'folder = "/in-state"')
    assert load(environment={}).folder == Path("/in-state")
    write(tmp_path / "vaultloop.toml", 'folder = "/beside"')
    assert load(environment={}).folder == Path("/beside")
    assert load(environment={"VAULTLOOP_CONFIG": str(in_state)}).folder == Path("/in-state")


def test_no_settings_come_out_of_the_vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = tmp_path / "vault"
    write(vault / "notes" / "vaultloop.toml", 'degraded = ["owner"]\nremote = "https://example.org/v.git"')
    monkeypatch.chdir(vault / "notes")
    with pytest.raises(InvalidSettings, match="lies in the vault's folder"):
        load(environment={"VAULTLOOP_FOLDER": str(vault)})
    # Nor if it says of another vault, or of none.
    write(tmp_path / "xdg" / "vaultloop" / "vaultloop.toml", f'folder = "{vault}"')
    with pytest.raises(InvalidSettings, match="look who put it there"):
        load(environment={})
    (vault / "notes" / "vaultloop.toml").unlink()
    assert load(environment={}).degraded == ()


def test_paths_in_a_file_are_taken_from_its_folder(tmp_path: Path) -> None:
    config = write(
        tmp_path / "etc" / "vaultloop.toml", 'folder = "vault"\nstate = "state"\nremote = "remote.git"'
    )
    found = load(config=config, environment={})
    assert found.folder == tmp_path / "etc" / "vault"
    assert found.state == tmp_path / "etc" / "state"
    assert found.remote == str(tmp_path / "etc" / "remote.git")


@pytest.mark.parametrize(
    "address", ["https://example.org/v.git", "git@example.org:me/v.git", "ssh://h/v.git"]
)
def test_addresses_in_a_file_stay_as_they_are(tmp_path: Path, address: str) -> None:
    config = write(tmp_path / "vaultloop.toml", f'remote = "{address}"')
    assert load(config=config, environment={}).remote == address


def test_owners_are_a_list_in_the_file_and_comma_separated_in_the_environment(tmp_path: Path) -> None:
    config = write(tmp_path / "x.toml", 'folder = "v"\nowners = [111, "222"]')
    assert load(config=config, environment={}).owners == ("111", "222")
    found = load(config=config, environment={"VAULTLOOP_OWNERS": "333, 444"})
    assert found.owners == ("333", "444")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "neither remote nor folder is set"),
        ({"VAULTLOOP_FOLDER": "v", "VAULTLOOP_POLL": "soon"}, "VAULTLOOP_POLL"),
        ({"VAULTLOOP_FOLDER": "v", "VAULTLOOP_POLL": "0s"}, "a duration longer than nothing"),
        ({"VAULTLOOP_FOLDER": "v", "VAULTLOOP_OWNERS": "@ada"}, "'@ada' is not a numeric id"),
        ({"VAULTLOOP_FOLDER": "v", "VAULTLOOP_BRANCH": "--force"}, "a branch name"),
        ({"VAULTLOOP_FOLDER": "v", "VAULTLOOP_POL": "5s"}, "VAULTLOOP_POL: no such setting"),
        ({"VAULTLOOP_FOLDER": "v", "VAULTLOOP_LOG_LEVEL": "loud"}, "debug, info, warning or error"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_place_and_what_was_expected(
    environment: dict[str, str], said: str
) -> None:
    with pytest.raises(InvalidSettings, match=said):
        load(environment=environment)


def test_without_a_branch_the_folder_or_the_remote_decides() -> None:
    assert load(environment={"VAULTLOOP_FOLDER": "v"}).branch is None


def test_a_folder_that_is_not_there_is_refused_with_the_cure(tmp_path: Path) -> None:
    found = load(environment={"VAULTLOOP_FOLDER": str(tmp_path / "my vault")})
    with pytest.raises(InvalidSettings, match=r"my vault is not there.*vaultloop init '.*my vault'"):
        found.check_folder()
    (tmp_path / "my vault").mkdir()
    found.check_folder()
    load(environment={"VAULTLOOP_REMOTE": "https://example.org/v.git"}).check_folder()


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(InvalidSettings) as caught:
        load(environment={"VAULTLOOP_FOLDER": "v", "VAULTLOOP_POLL": "soon", "VAULTLOOP_OWNERS": "me"})
    assert "VAULTLOOP_POLL" in str(caught.value)
    assert "VAULTLOOP_OWNERS" in str(caught.value)


def test_a_file_that_was_named_must_exist_and_be_toml(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="no such settings file"):
        load(config=tmp_path / "missing.toml", environment={})
    with pytest.raises(InvalidSettings, match="cannot be read as TOML"):
        load(config=write(tmp_path / "bad.toml", "folder = v"), environment={})


def test_a_secret_may_lie_in_a_file_of_its_own(tmp_path: Path) -> None:
    file = write(tmp_path / "secrets" / "git", "hunter2\n")
    environment = {"VAULTLOOP_FOLDER": "v", "VAULTLOOP_GIT_PASSWORD_FILE": str(file)}
    password = load(environment=environment).git_password
    assert password is not None
    assert password.get_secret_value() == "hunter2"
    with pytest.raises(InvalidSettings, match=r"VAULTLOOP_GIT_PASSWORD.* both set: keep one"):
        load(environment={**environment, "VAULTLOOP_GIT_PASSWORD": "other"})
    with pytest.raises(InvalidSettings, match="VAULTLOOP_BRANCH_FILE: no such setting"):
        load(environment={**environment, "VAULTLOOP_BRANCH_FILE": str(file)})


@pytest.mark.parametrize(
    ("content", "why"), [(b"\n", "empty"), (b"\xe4", "no UTF-8"), (None, "No such file")]
)
def test_a_file_that_gives_no_secret_is_named_and_not_shown(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    variable = "VAULTLOOP_ANTHROPIC_API_KEY_FILE"
    with pytest.raises(InvalidSettings, match=rf"{variable}: \S*key gives no secret \(.*{why}"):
        load(environment={"VAULTLOOP_FOLDER": "v", variable: str(tmp_path / "key")})


def test_a_password_is_never_printed(tmp_path: Path) -> None:
    environment = {"VAULTLOOP_FOLDER": "v", "VAULTLOOP_GIT_PASSWORD": "hunter2", "VAULTLOOP_POLL": "soon"}
    with pytest.raises(InvalidSettings) as caught:
        load(environment=environment)
    assert "hunter2" not in str(caught.value)
    del environment["VAULTLOOP_POLL"]
    assert "hunter2" not in repr(load(environment=environment))
    config = write(tmp_path / "x.toml", 'folder = "v"\ngit-password = ["hunter2"]')
    with pytest.raises(InvalidSettings) as caught:
        load(config=config, environment={})
    assert "hunter2" not in str(caught.value)


def test_only_the_owner_and_crons_may_run_with_less_than_the_whole_fence(tmp_path: Path) -> None:
    environment = {"VAULTLOOP_FOLDER": "v", "VAULTLOOP_DEGRADED": "owner, cron"}
    assert load(environment=environment).degraded == (Audience.OWNER, Audience.CRON)
    assert load(environment={"VAULTLOOP_FOLDER": "v"}).degraded == ()
    for others in ("group", "public", "owner,public"):
        with pytest.raises(InvalidSettings, match="VAULTLOOP_DEGRADED: only owner and cron"):
            load(environment={**environment, "VAULTLOOP_DEGRADED": others})
    config = write(tmp_path / "x.toml", 'folder = "v"\ndegraded = ["owner"]')
    assert load(config=config, environment={}).degraded == (Audience.OWNER,)


def test_mounts_and_programs_of_a_file_are_taken_from_its_folder(tmp_path: Path) -> None:
    config = write(
        tmp_path / "x.toml", 'folder = "v"\nprograms = ["agent"]\n[mounts]\nfinance = "db"\ntax = "/srv/tax"'
    )
    settings = load(config=config, environment={})
    assert settings.programs == (tmp_path / "agent",)
    assert settings.mounts == {"finance": tmp_path / "db", "tax": Path("/srv/tax")}


def test_a_secret_is_bound_to_hosts_and_commands_and_to_nothing_else(tmp_path: Path) -> None:
    config = write(tmp_path / "x.toml", 'folder = "v"\n[secrets.TOKEN]\nhosts = ["api.example.org"]')
    binding = load(config=config, environment={}).secrets["TOKEN"]
    assert (binding.hosts, binding.commands) == (("api.example.org",), ())
    config = write(tmp_path / "y.toml", 'folder = "v"\n[secrets.TOKEN]\nvalue = "hunter2"')
    with pytest.raises(InvalidSettings, match="secrets") as caught:
        load(config=config, environment={})
    assert "hunter2" not in str(caught.value)


def test_tables_may_come_from_the_environment(tmp_path: Path) -> None:
    environment = {
        "VAULTLOOP_FOLDER": "v",
        "VAULTLOOP_PROGRAMS": "/opt/a:/opt/b",
        "VAULTLOOP_MOUNTS": "finance=/srv/finance, tax=/srv/tax",
        "VAULTLOOP_SECRETS": '{"TOKEN": {"hosts": ["api.example.org"]}}',
    }
    settings = load(environment=environment)
    assert settings.programs == (Path("/opt/a"), Path("/opt/b"))
    assert settings.mounts == {"finance": Path("/srv/finance"), "tax": Path("/srv/tax")}
    assert settings.secrets["TOKEN"].hosts == ("api.example.org",)
    for name, text in (("MOUNTS", "/srv/finance"), ("SECRETS", "hunter2")):
        with pytest.raises(InvalidSettings, match=f"VAULTLOOP_{name}: ") as caught:
            load(environment={**environment, f"VAULTLOOP_{name}": text})
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("folder = 5", 'folder: a path in quotes, such as "/srv/vault"'),
        ('folder = "v"\nsecrets-dir = 5', "secrets-dir: a path in quotes"),
        ('folder = "v"\nssh-key = 5', "ssh-key: a path in quotes"),
        ('folder = "~nobody-of-that-name/v"', "folder: .* names the home of somebody who is not known"),
        ("remote = 5", "remote: a text in quotes"),
        ('folder = "v"\ndegraded = true', r'degraded: a list, such as \["one", "two"\]'),
        ('folder = "v"\ndegraded = ["ownr"]', "degraded 0: only owner and cron"),
        ('folder = "v"\ntrust = true', "trust: one of off, protected or all"),
        ('folder = "v"\nforge = "github.com"', "forge: one of github, gitlab or gitea"),
        ('folder = "v"\npoll = "2d"', "poll: a duration of a day at most"),
        ('folder = "v"\nwebhook-secret = ""', "webhook-secret: at least 16 characters"),
        ('folder = "v"\nwebhook-secret = "                    x"', "webhook-secret: at least 16 characters"),
        ('folder = "v"\nwebhook-secret = "whsec_hunter2"', "webhook-secret: at least 16 characters"),
        ('folder = "v"\nprograms = [5]', "programs 0: a path in quotes"),
        ('folder = "v"\nprograms = [""]', "programs: the path of a folder"),
        ('folder = "v"\nprograms = ["/"]', "programs: a folder; `/` would be the whole machine"),
        ('folder = "v"\nprograms = ["/usr/.."]', "programs: a folder; `/` would be the whole machine"),
        ('folder = "v"\n[mounts]\na = 5', "mounts a: a path in quotes"),
        ('folder = "v"\n[mounts]\na = "/"', "mounts: a folder; `/` would be the whole machine"),
        ('folder = "v"\nmounts = 5', "mounts: a table of names"),
        ('folder = "v"\n[secrets.X]\nfoo = 1', "secrets: X has no key `foo`. Its keys are: commands, hosts"),
        ('folder = "v"\n[secrets.X]\nhosts = [5]', "secrets X hosts 0: a text in quotes"),
        ('folder = "v"\n[secrets]\nX = 5', "secrets X: a table, such as"),
        (
            'folder = "v"\nanthropic-base-url = "ftp://x"',
            "anthropic-base-url: an address that begins",
        ),
    ],
)
def test_a_wrong_type_in_the_file_is_refused_in_own_words(tmp_path: Path, lines: str, said: str) -> None:
    config = write(tmp_path / "vaultloop.toml", lines)
    with pytest.raises(InvalidSettings, match=said) as caught:
        load(config=config, environment={})
    assert "Input should be" not in str(caught.value)


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "vaultloop-git-password", "CLAUDE_CODE_OAUTH_TOKEN"])
def test_the_engines_own_credentials_cannot_be_bound(tmp_path: Path, name: str) -> None:
    config = write(tmp_path / "x.toml", f'folder = "v"\n[secrets.{name}]\nhosts = ["api.example.org"]')
    with pytest.raises(InvalidSettings, match=f"{name} cannot be bound, for it is the engine's own"):
        load(config=config, environment={})


@pytest.mark.parametrize("place", ["v/.allowed_signers", "elsewhere/link"])
def test_the_vault_says_nothing_of_whom_to_trust(tmp_path: Path, place: str) -> None:
    write(tmp_path / "v" / ".allowed_signers", "")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link").symlink_to(tmp_path / "v" / ".allowed_signers")
    lines = f'folder = "v"\ntrust = "all"\nallowed-signers = "{place}"'
    config = write(tmp_path / "x.toml", lines)
    with pytest.raises(InvalidSettings, match="lies in the vault's folder"):
        load(config=config, environment={})
    config.write_text(lines.replace(place, "signers"), encoding="utf-8")
    assert load(config=config, environment={}).allowed_signers == tmp_path / "signers"


@pytest.mark.parametrize("key", ["state", "secrets-dir", "ssh-key"])
def test_nothing_of_the_engines_own_lies_in_the_vault_where_it_would_be_pushed(
    tmp_path: Path, key: str
) -> None:
    config = write(tmp_path / "x.toml", f'folder = "v"\n{key} = "v/.private"')
    with pytest.raises(InvalidSettings, match=f"{key}: .* lies in the vault's folder"):
        load(config=config, environment={})


def test_a_folder_of_secrets_that_is_not_there_is_refused_at_start(tmp_path: Path) -> None:
    config = write(tmp_path / "x.toml", 'folder = "v"\nsecrets-dir = "secrets"')
    found = load(config=config, environment={})
    (tmp_path / "v").mkdir()
    with pytest.raises(InvalidSettings, match=r"secrets-dir: .*secrets is not there"):
        found.check_folder()
    (tmp_path / "secrets").mkdir()
    found.check_folder()


def test_the_files_that_hold_secrets_are_private(tmp_path: Path) -> None:
    config = write(tmp_path / "x.toml", 'folder = "v"\nssh-key = "id_ed25519"')
    password = write(tmp_path / "git-password", "hunter2")
    environment = {"VAULTLOOP_GIT_PASSWORD_FILE": str(password)}
    found = load(config=config, environment=environment)
    assert found.private == (config, password, tmp_path / "id_ed25519")
    assert load(environment={"VAULTLOOP_FOLDER": "v"}).private == ()
    with pytest.raises(InvalidSettings, match="VAULTLOOP_PRIVATE: no such setting"):
        load(environment={"VAULTLOOP_FOLDER": "v", "VAULTLOOP_PRIVATE": "x"})
