"""Where there is no terminal, long work says that it goes on."""

import time

from edgesea import progress


def test_a_command_that_says_nothing_is_at_work(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SILENCE_S", 0.2)
    with progress.sign_of_life("edgesea export"):
        time.sleep(1.1)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 6
    assert set(lines) <= {f"edgesea export: at work for {n} s" for n in (0, 1)}


def test_a_command_that_speaks_is_left_alone(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SILENCE_S", 5.0)
    with progress.sign_of_life("edgesea distill"):
        progress.TerminalProgress().say("a line")
        time.sleep(0.1)
    assert "at work" not in capsys.readouterr().err


def test_a_stage_that_lasts_says_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY_S", 0.1)
    with progress.TerminalProgress().stage("train", 1_000, 200) as advance:
        advance(300, "loss 0.5")
        time.sleep(0.35)
    line = capsys.readouterr().err.splitlines()[0]
    assert line.startswith("train: 500 of 1,000 after 0 s, ")
    assert line.endswith(" left, loss 0.5")
