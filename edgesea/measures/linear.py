"""How much of a teacher's embedding a linear map finds in a student's: one scale for all dimensions.

R² and cosine to phi(teacher) of another dimension are other questions. Here the question is always the whole
embedding of the teacher, and what a head on the student could make of it, which is linear too.
"""

import numpy as np

# Of the mean variance of the student's dimensions: what keeps the map of a few hundred frames from guessing.
RIDGE = 0.01


def explained(learnt: tuple[np.ndarray, np.ndarray], asked: tuple[np.ndarray, np.ndarray]) -> float:
    """R² of the teacher's embeddings, guessed from the student's by ridge regression.

    learnt : student's (N, d) and teacher's (N, n) embeddings, float, N >= 1, that the map is fitted to
    asked : (M, d) and (M, n) of other frames, M >= 1, that it is tried on

    Returns 1 - (sum of squared residuals) / (sum of squares about the mean of `learnt`), at most 1; 0 is the
    constant. 0 where the teacher gives the same for all.
    """
    student, teacher = (np.asarray(each, np.float64) for each in learnt)
    heard, wanted = (np.asarray(each, np.float64) for each in asked)
    centre, mean = student.mean(axis=0), teacher.mean(axis=0)
    student, heard, wanted = student - centre, heard - centre, wanted - mean
    gram = student.T @ student
    gram += np.eye(len(gram)) * max(RIDGE * np.trace(gram) / len(gram), np.finfo(np.float64).tiny)
    guess = heard @ np.linalg.solve(gram, student.T @ (teacher - mean))
    spread = np.square(wanted).sum()
    return float(1 - np.square(wanted - guess).sum() / spread) if spread else 0.0
