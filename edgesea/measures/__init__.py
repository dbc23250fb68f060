"""What is measured, and what is said of it: figures of embeddings, of heads' scores and of memory.

Nothing here knows of a stage: not what a run, a bundle or a device is. Training, export, evaluation and
devices all measure with these.
"""
