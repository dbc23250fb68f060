"""A distillation of seconds: what the tests of runs, evaluation, export and the command line look at."""

SMALL = (
    *("--teacher", "demo", "--student", "separable-s", "--dim", "16", "--frames", "256", "--batch", "32"),
    *("--epochs", "4", "--seed", "3"),
)
