"""In which order steps run: that of the file, or the frugal one."""

from __future__ import annotations

from firmware_export.program import Program, Step


def frugal_order(program: Program) -> list[Step]:
    """Run next, of all steps that could, the one that adds the least memory; ties keep their order."""
    steps = program.steps
    kept = {program.root(t) for t in program.graph.outputs}
    made = {step.output for step in steps}
    waiting = {n: {t for t in step.inputs if t in made} for n, step in enumerate(steps)}
    readers: dict[int, set[int]] = {}
    for n, step in enumerate(steps):
        for tensor in step.inputs:
            readers.setdefault(tensor, set()).add(n)
    ready = [n for n, missing in waiting.items() if not missing]
    order: list[Step] = []

    def growth(n: int) -> int:
        step = steps[n]
        freed = sum(
            program.tensor(t).bytes
            for t in set(step.inputs)
            if t in made and t not in kept and readers[t] == {n}
        )
        return program.tensor(step.output).bytes - freed

    while ready:
        n = min(ready, key=lambda n: (growth(n), n))
        ready.remove(n)
        order.append(steps[n])
        for tensor in set(steps[n].inputs):
            readers[tensor].discard(n)
        for reader in sorted(readers.get(steps[n].output, ())):
            waiting[reader].discard(steps[n].output)
            if not waiting[reader]:
                ready.append(reader)
    return order
