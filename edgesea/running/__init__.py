"""Runs what edgesea did not write: compilers and boards' tools (`programs`), and programs on emulated cores.

    board = board_of("cortex-m4")
    image = build(board, [folder / "main.c"], folder)
    finished = run(board, image, given={"in.bin": b"..."}, wanted={"out.bin": 100})

`emulator` builds and runs an image, `semihosting` is all that such a program finds of the host, `firmware`
runs a bundle's firmware with a serial line, `image` reads what the linker made.
"""
