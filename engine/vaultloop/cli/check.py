"""`vaultloop check`: what is wrong in the vault's notes, all at once, and what of it can be put right."""

import gc
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaultloop.cli import NO_VAULT
from vaultloop.cli.options import as_json
from vaultloop.cli.plain import counted

if TYPE_CHECKING:  # `--help` waits for none of these
    from collections.abc import Iterator, Sequence

    from vaultloop.model.problem import Problem
    from vaultloop.model.resource import Kind
    from vaultloop.vault.files import Files
    from vaultloop.vault.notes.fixes import Edit
    from vaultloop.vault.notes.inspection import Inspection
    from vaultloop.vault.plain_folder import ReadableFiles


class NoVault(click.ClickException):
    """There are no declarations at that place."""

    exit_code = NO_VAULT


@dataclass(frozen=True, slots=True)
class Target:
    """What is looked at.

    Attributes:
        vault: its top folder.
        only: the paths in it that were asked for; none: all.
        links: links in it, on the way to what was asked for.
        is_elsewhere: it was found by a variable or the settings, not by where one stands.
    """

    vault: Path
    only: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    is_elsewhere: bool = False

    def concerns(self, path: str) -> bool:
        return not self.only or any(path == wanted or path.startswith(f"{wanted}/") for wanted in self.only)

    def notes(self, files: "ReadableFiles") -> tuple[str, ...]:
        """The files among the paths, and the notes in the folders among them."""
        found: dict[str, None] = {}
        for path in self.only:
            if path in self.links:
                continue
            found |= dict.fromkeys(files.notes(path) if (self.vault / path).is_dir() else (path,))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Report:
    """What is told.

    Attributes:
        seen: what was looked at, in words.
        problems: those that were asked for, as they are now.
        fixed, edits: what `--fix` did, or would do.
        kept: notes that were not fixed because somebody changed them meanwhile.
    """

    files: "Files"
    seen: str
    problems: "tuple[Problem, ...]"
    fixed: "tuple[Problem, ...]" = ()
    edits: "tuple[Edit, ...]" = ()
    kept: tuple[str, ...] = ()


@click.command(name="check")
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--fix", is_flag=True, help="Correct what is safe to correct.")
@click.option("--diff", "--dry-run", is_flag=True, help="Show what --fix would change, and change nothing.")
@click.option("--staged", is_flag=True, help="Check what is staged for the next commit.")
@click.option("--at", "after", metavar="REVISION", help="Check a revision; nothing need be checked out.")
@click.option("--from", "before", metavar="REVISION", help="With --at: only what changed since this one.")
@click.option("--strict", "--warnings-as-errors", is_flag=True, help="Fail for warnings too.")
@click.option("-q", "--quiet", is_flag=True, help="Print problems and nothing else.")
@as_json
def command(
    paths: tuple[Path, ...],
    *,
    fix: bool,
    diff: bool,
    staged: bool,
    after: str | None,
    before: str | None,
    strict: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Check the vault around PATH (default: here), or only the notes and
    folders of it that PATH names.

    Exits 1 if there is an error; warnings alone do not count. What --fix puts
    right is marked [*]: it never lets anybody in and never deletes text. With
    --at it needs a repository and no working tree, as in a hook of a server;
    PATH is then the vault's folder in it.
    """
    # The whole command is shorter than looking for garbage would be, on its way and at its end.
    gc.disable()
    if staged and (fix or diff):
        raise click.UsageError("--staged only looks; stage what `vaultloop check --fix` has corrected.")
    if before is not None and after is None:
        raise click.UsageError("--from says what to compare with; say with --at what to look at")
    if after is not None and (staged or fix or diff):
        raise click.UsageError("--at only looks at a revision; it goes with none of --staged, --fix, --diff")
    if after is not None:
        report = _of_revision(paths, after, before)
    elif staged:
        report = _of_staged(paths)
    elif fix or diff:
        report = _of_fixing(_target(paths), write=not diff)
    else:
        report = _of_vault(_target(paths))
    with _output():
        if as_json:
            _print_json(report, with_fixes=fix or diff)
        else:
            _print(report, diff=diff, quiet=quiet)
    gc.freeze()
    sys.exit(1 if any(problem.is_error or strict for problem in report.problems) else 0)


# What is looked at.


def _kinds() -> "Sequence[Kind[Any]]":
    from vaultloop.components import KINDS  # noqa: PLC0415

    return KINDS


def _target(paths: tuple[Path, ...]) -> Target:
    from vaultloop.vault.notes.location import top_of  # noqa: PLC0415

    if not paths:
        here = top_of(Path.cwd())
        return _with_its_own_link(Target(here or _vault_of_the_environment(), is_elsewhere=here is None))
    places = [_place(path) for path in paths]
    tops = {vault for vault, _, _ in places}
    if len(tops) > 1:
        raise click.UsageError(f"{' and '.join(map(str, sorted(tops)))} are two vaults; check one at a time")
    only = tuple(path for _, path, _ in places)
    links = tuple(path for _, path, is_link in places if is_link)
    return _with_its_own_link(Target(tops.pop(), () if "." in only else only, links))


def _with_its_own_link(target: Target) -> Target:
    from vaultloop.vault.notes.location import FOLDER  # noqa: PLC0415

    links = {*target.links, *([FOLDER] if (target.vault / FOLDER).is_symlink() else [])}
    return replace(target, links=tuple(sorted(links)))


def _vault_of_the_environment() -> Path:
    """The vault that is meant where we stand in none: the variable's, or that of the settings file."""
    from vaultloop.vault.notes.location import top_of  # noqa: PLC0415

    named = os.environ.get("VAULTLOOP_FOLDER", "").strip() or _folder_of_the_settings()
    place = Path(os.path.expanduser(named)) if named else Path.cwd()  # noqa: PTH111 - `~nobody` is no error
    if not place.is_dir():
        raise click.UsageError(f"{place} is not a folder")
    return top_of(place) or _no_vault(place)


def _folder_of_the_settings() -> str:
    """What the settings file that the engine would read says; empty if nothing."""
    from vaultloop.settings_sources import Given, find_file  # noqa: PLC0415

    given = Given()
    if (file := find_file({}, None, os.environ)) is not None:
        given.read_file(file)
    return str(given.values.get("folder") or "")


def _place(path: Path) -> tuple[Path, str, bool]:
    """The vault that a path lies in, its path there, and whether a link is what lies there."""
    from vaultloop.vault.notes.location import link_in, top_of  # noqa: PLC0415

    if (link := link_in(path)) is not None:
        return (*link, True)
    if not os.path.exists(path):  # noqa: PTH110 - what may not be looked at is not there
        raise click.UsageError(f"There is no file and no folder {str(path)!r} that can be looked at.")
    place = path.resolve()
    vault = top_of(place if place.is_dir() else place.parent) or _no_vault(place)
    return vault, place.relative_to(vault).as_posix(), False


def _no_vault(place: Path) -> Path:
    from vaultloop.vault.notes.location import is_of_another_repository, look_alike  # noqa: PLC0415

    folder = place if place.is_dir() else place.parent
    if (other := look_alike(folder)) is not None:
        raise NoVault(f"{folder} is no vault yet: its folder `{other}` must be named `agent`. Rename it.")
    advice = "Name the vault's folder"
    if not is_of_another_repository(folder):
        advice += f", or make one: vaultloop init {folder}"
    raise NoVault(f"There is no vault at {folder}: neither it nor a folder above it holds `agent/`. {advice}")


def _of_vault(target: Target) -> Report:
    from vaultloop.vault.notes.inspection import inspected  # noqa: PLC0415
    from vaultloop.vault.plain_folder import ReadableFiles  # noqa: PLC0415

    files = ReadableFiles(target.vault)
    return _report(target, files, inspected(files, _kinds, target.notes(files)))


def _of_fixing(target: Target, *, write: bool) -> Report:
    from vaultloop.vault.notes import fixes  # noqa: PLC0415
    from vaultloop.vault.notes.inspection import inspected  # noqa: PLC0415
    from vaultloop.vault.plain_folder import ReadableFiles  # noqa: PLC0415

    before = ReadableFiles(target.vault)
    mending = fixes.mended(before, _kinds, target.concerns, target.notes(before))
    kept = fixes.write(target.vault, mending.edits) if write else ()
    # What is really there now, whoever changed it.
    files = ReadableFiles(target.vault)
    left = inspected(files, _kinds, target.notes(files)) if kept or not write else mending.left
    files.unreadable |= before.unreadable
    report = _report(target, files, left)
    fixed = tuple(problem for problem in mending.fixed if problem.file not in kept)
    return Report(files, report.seen, report.problems, fixed, mending.edits, kept)


def _of_staged(paths: tuple[Path, ...]) -> Report:
    from vaultloop.vault.git.effort import Effort  # noqa: PLC0415
    from vaultloop.vault.notes.inspection import inspected_change  # noqa: PLC0415
    from vaultloop.vault.notes.staged import staged  # noqa: PLC0415

    if len(paths) > 1:
        raise click.UsageError("--staged takes one folder: the vault's")
    place = paths[0] if paths else Path()
    found = staged(place, Effort(), named=place != Path())
    inspection = inspected_change(found.before, found.after, found.changed, _kinds)
    problems = tuple(sorted((*inspection.problems, *map(_before_both, found.undecided))))
    return Report(found.after, counted(len(found.changed), "staged file"), problems)


def _before_both(path: str) -> "Problem":
    from vaultloop.model.problem import Problem, Severity  # noqa: PLC0415

    message = "Both sides changed this, and what is staged is the version before both."
    cure = "Edit it as it should be, and stage that; or take it on purpose: git commit --no-verify."
    return Problem(_text(path), 1, 1, Severity.ERROR, "before-both", message, cure)


def _of_revision(paths: tuple[Path, ...], after: str, before: str | None) -> Report:
    from vaultloop.vault.git.incoming import incoming  # noqa: PLC0415
    from vaultloop.vault.notes.inspection import inspected_change  # noqa: PLC0415

    if len(paths) > 1 or any(path.is_absolute() for path in paths):
        raise click.UsageError("--at takes one folder: the vault's, as it is called in the repository")
    vault = paths[0].as_posix() if paths else "."
    found = incoming("" if vault == "." else vault, after, before)
    inspection = inspected_change(found.before, found.after, found.changed, _kinds)
    return Report(found.after, counted(len(found.changed), "changed file"), inspection.problems)


def _report(target: Target, files: "ReadableFiles", found: "Inspection") -> Report:
    declarations = sum(map(target.concerns, found.declarations))
    problems = [problem for problem in found.problems if target.concerns(problem.file)]
    problems += _not_looked_at(target, files)
    seen = counted(declarations, "declaration")
    return Report(
        files, f"{seen} in {target.vault}" if target.is_elsewhere else seen, tuple(sorted(problems))
    )


def _not_looked_at(target: Target, files: "ReadableFiles") -> "Iterator[Problem]":
    """What is there and was not checked; to say nothing of it would call it sound."""
    from vaultloop.model.problem import Problem, Severity  # noqa: PLC0415
    from vaultloop.vault.files import is_utf8  # noqa: PLC0415

    for path in target.links:
        message = "This is a link. Links are not followed, so that nothing behind it counts."
        cure = "Put the file or folder itself here, or name the place that it leads to."
        yield Problem(_text(path), 1, 1, Severity.ERROR, "link", message, cure)
    for path in (path for path in target.only if not is_utf8(path)):
        message = "The bytes of this name are no UTF-8 text, so that the file is left out of the vault."
        yield Problem(_text(path), 1, 1, Severity.ERROR, "name-not-utf-8", message, "Rename it.")
    for path, why in files.unreadable.items():
        message = f"This cannot be read ({why}), so that nothing of it was checked."
        cure = "Give its owner back the right to read it (chmod u+rX), or call this as its owner."
        yield Problem(_text(path), 1, 1, Severity.ERROR, "unreadable", message, cure)


def _text(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()


# How it is told.


@contextmanager
def _output() -> "Iterator[None]":
    """Where what is told cannot be written, as to a full disk, one line says so."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # What waits to be written must not fail once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise click.ClickException(f"What was found cannot be written: {error.strerror}.") from error


def _print_json(report: Report, *, with_fixes: bool) -> None:
    from vaultloop.cli import output  # noqa: PLC0415

    told: dict[str, object] = {"problems": [_json_of(problem) for problem in report.problems]}
    if with_fixes:
        told["fixed"] = [_json_of(problem) for problem in report.fixed]
    output.print_json(told)


def _json_of(problem: "Problem") -> dict[str, object]:
    from dataclasses import asdict  # noqa: PLC0415

    return {**problem.as_json(), "fix": asdict(problem.fix) if problem.fix else None}


def _print(report: Report, *, diff: bool, quiet: bool) -> None:
    from vaultloop.cli import problems  # noqa: PLC0415

    if diff:
        problems.show_diff("".join(edit.diff() for edit in report.edits))
    else:
        for problem in report.problems:
            problems.show(problem, _source(report.files, problem.file))
            problems.tell()
    for path in report.kept:
        problems.tell(f"{path} was changed meanwhile and stays as it is; call this again.", to_errors=True)
    if not quiet:
        problems.tell(_summary(report, diff=diff), to_errors=diff)


def _source(files: "Files", path: str) -> str | None:
    entry = files.entry(path)
    if entry is None:
        return None
    try:
        return files.read(entry).decode("utf-8")
    except UnicodeDecodeError:
        return None


def _summary(report: Report, *, diff: bool) -> str:
    text = ""
    if report.fixed:
        notes = counted(len({problem.file for problem in report.fixed}), "note")
        done = "Would fix" if diff else "Fixed"
        text = f"{done} {counted(len(report.fixed), 'problem')} in {notes}. "
    if not report.problems:
        return f"{text}{report.seen}, no problems."
    errors = sum(problem.is_error for problem in report.problems)
    warnings = len(report.problems) - errors
    text += f"{report.seen}, {counted(errors, 'error')}, {counted(warnings, 'warning')}"
    fixable = sum(problem.fix is not None and problem.fix.safe for problem in report.problems)
    return f"{text}; --fix corrects {fixable} of them [*]." if fixable and not report.fixed else f"{text}."
