"""The files that edgesea reads back, each with one strict schema: what is in them may come from a stranger.

`door` is the one way in. A format is a module: `bundle` (manifest.json), `frontend` (frontend.json), `run`
(metrics.json, split.json), `store` (store.json), `evaluation`, `measurement` and `fit` (what commands answer,
see `edgesea.results`) and `project` (edgesea-project.json). docs/formats.md is made of these by `reference`.

The modules of formats import pydantic, which takes a moment: import them where a file is read.
"""
