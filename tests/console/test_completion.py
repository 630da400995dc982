"""Completion for a shell that is named, whatever shell runs, if any."""

from pathlib import Path

import pytest

from console.completion import advise_naming, name_shell
from tests.console.running import journeys, one_line


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--show-completion", "zsh"], ["--show-completion-for", "zsh"]),
        (["--install-completion=fish"], ["--install-completion-for", "fish"]),
        (["--show-completion"], ["--show-completion"]),
        (["--show-completion", "--debug"], ["--show-completion", "--debug"]),
        (["sql", "--show-completion", "zsh"], ["sql", "--show-completion", "zsh"]),
        ([], []),
    ],
)
def test_a_name_goes_to_the_option_that_takes_one(given: list[str], expected: list[str]) -> None:
    assert name_shell(given) == expected


def test_where_no_shell_is_found_it_has_to_be_named() -> None:
    assert "journeys --show-completion bash" in advise_naming(["--show-completion"], 1)
    assert advise_naming(["--show-completion"], 0) == advise_naming(["status"], 1) == advise_naming([], 1) == ""


def test_completion_is_shown_for_the_shell_that_is_named(tmp_path: Path) -> None:
    shown = {shell: journeys("--show-completion", shell, cwd=tmp_path) for shell in ("bash", "zsh", "fish")}
    assert {shell: (done.returncode, done.stderr) for shell, done in shown.items()} == dict.fromkeys(shown, (0, ""))
    assert "complete -o default -F _journeys_completion journeys" in shown["bash"].stdout
    assert shown["zsh"].stdout.startswith("#compdef journeys")
    assert shown["fish"].stdout.startswith("complete --command journeys")
    refused = journeys("--show-completion", "csh", cwd=tmp_path)
    assert refused.returncode == 2 and "'csh' is not one of 'bash', 'zsh'" in one_line(refused.stderr)


def test_completion_is_installed_for_the_shell_that_is_named(tmp_path: Path) -> None:
    done = journeys("--install-completion", "zsh", cwd=tmp_path, changed={"HOME": str(tmp_path)})
    assert done.returncode == 0 and "zsh completion installed" in done.stdout, done.stderr
    assert (tmp_path / ".zfunc" / "_journeys").read_text().startswith("#compdef journeys")
