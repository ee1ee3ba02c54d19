"""The `gnmt` command: its list of commands, exit codes and outputs, mostly in this process."""
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import gnmt
from gnmt.__main__ import COMMANDS, MODULES, main

ROOT = Path(__file__).resolve().parents[1]


def exit_of(*arguments) -> int:
    """Exit code of a command line that ends the process."""
    with pytest.raises(SystemExit) as ending:
        main(list(map(str, arguments)))
    return ending.value.code


# -- the list of commands


def test_help_lists_all_commands_in_their_order(capsys):
    main(["--help"])
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert listed == list(COMMANDS)


def test_help_and_errors_of_the_list_need_no_torch():
    code = "import sys; sys.modules['torch'] = None; from gnmt.__main__ import main; main(sys.argv[1:])"
    for arguments, status in ((["--help"], 0), (["--version"], 0), ([], 2), (["tranlsate"], 2)):
        done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == status and "Traceback" not in done.stderr, done.stderr


def test_version_is_printed(capsys):
    main(["--version"])
    assert capsys.readouterr().out == f"gnmt {gnmt.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_of_itself(name, capsys):
    assert exit_of(name, "--help") == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: gnmt {name} ") and f"\n    gnmt {name} " in printed
    assert import_module(f"gnmt.commands.{MODULES.get(name, name)}").__doc__.splitlines()[0] in printed


def test_help_names_each_default_once(capsys):
    exit_of("clean", "--help")
    assert "longer side / shorter side at most (default: 9.0)" in " ".join(capsys.readouterr().out.split())
    exit_of("train", "--help")
    assert "None" not in capsys.readouterr().out


# -- wrong command lines


@pytest.mark.parametrize("typo, meant", [("tranlsate", "translate"), ("exprot", "export"), ("imoprt", "import")])
def test_a_typo_gets_the_nearest_command(typo, meant, capsys):
    assert exit_of(typo) == 2
    assert capsys.readouterr().err == f"error: gnmt has no command '{typo}': did you mean `gnmt {meant}`?\n"


def test_a_name_like_no_command_gets_the_list_named(capsys):
    assert exit_of("xyzzy") == 2
    assert "`gnmt --help` lists the commands" in capsys.readouterr().err


def test_no_command_is_wrong_usage(capsys):
    assert exit_of() == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("usage: gnmt COMMAND")


def test_an_unknown_option_is_wrong_usage(capsys):
    assert exit_of("info", "model", "--jsno") == 2
    assert "--jsno" in capsys.readouterr().err


def test_a_missing_model_is_an_error_in_one_line(tmp_path):
    for command in ("info", "translate"):
        message = exit_of(command, tmp_path / "none")
        assert message.startswith(f"error: {tmp_path / 'none'} is not a folder") and "\n" not in message
