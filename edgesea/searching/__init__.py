"""A student for a board: what students would cost, the space that they are drawn from, and the search.

`cost.py` says what a student takes before it is trained, `instructions.py` holds the calibrated table for it,
`space.py` the students that there are, `candidates.py` what was tried, `search.py` tries, `front.py` shows.
"""
