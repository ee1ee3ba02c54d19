"""Tests which messages of libraries are hidden. Expected messages are written by hand."""

import logging
import warnings

import pytest

from fairseq_gnmt.patches.messages import LOGGERS, hide_messages_of_libraries

PINNED = "'pin_memory' argument is set as true but no accelerator is found, then device pinned memory won't be used."


@pytest.fixture
def levels():
    """Fixture: restores the levels of loggers after the test."""
    loggers = [logging.getLogger(), *map(logging.getLogger, LOGGERS)]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before):
        logger.setLevel(level)


@pytest.mark.parametrize(
    "text, module, is_shown",
    [
        ("hydra.experimental.compose() is no longer experimental.", "hydra.experimental.compose", False),
        ("\n'config' is validated against ConfigStore schema with the same name.", "sys", False),
        (PINNED, "torch.utils.data.dataloader", False),
        ("The sentence is long.", "torch.utils.data.dataloader", True),
        ("hydra is here", "mine", True),
    ],
)
def test_only_warnings_without_remedy_are_hidden(levels, text, module, is_shown):
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        hide_messages_of_libraries()
        warnings.warn_explicit(text, UserWarning, f"{module}.py", 1, module=module)
    assert [str(warning.message) for warning in caught] == [text] * is_shown


def test_filters_of_the_user_come_first(levels):
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        warnings.simplefilter("always")
        hide_messages_of_libraries()
        warnings.warn_explicit("deprecated", UserWarning, "hydra/compose.py", 1, module="hydra.compose")
    assert len(caught) == 1


@pytest.mark.parametrize("level, is_shown", [(None, True), ("info", True), ("warning", False)])
def test_loglevel_is_the_users(levels, monkeypatch, level, is_shown):
    for name in ("fairseq_cli.generate", *LOGGERS):  # logging.config in another library may have disabled them
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
    monkeypatch.setattr(logging.root.manager, "disable", logging.NOTSET)
    logging.getLogger().setLevel(logging.INFO)
    monkeypatch.delenv("LOGLEVEL", raising=False)
    if level is not None:
        monkeypatch.setenv("LOGLEVEL", level)
    with warnings.catch_warnings():
        hide_messages_of_libraries()
    assert logging.getLogger("fairseq_cli.generate").isEnabledFor(logging.INFO) == is_shown
    assert not logging.getLogger("fairseq.tasks.fairseq_task").isEnabledFor(logging.INFO)
    assert logging.getLogger("fairseq.tasks.fairseq_task").isEnabledFor(logging.WARNING)
