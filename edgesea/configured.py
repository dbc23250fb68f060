"""What a configuration asks for, loaded: the teacher, and the frontend that its student hears by."""

from edgesea import students, teachers
from edgesea.frontend import Frontend, preset
from edgesea.progress import SILENT, Progress
from edgesea.run import Config

# Larger patches than this are not for a sensor: such a teacher's frontend is not taken over by default.
SENSOR_PATCH = 96 * 64


def load_teacher(config: Config, progress: Progress = SILENT, accelerator: str = "auto"):
    """The teacher of a configuration, fetched where it is a published one that is not here."""
    options = teachers.TeacherOptions(
        tensor=config.teacher_tensor,
        frontend=preset(config.teacher_frontend) if config.teacher_frontend else None,
        sample_rate=config.teacher_rate,
        seconds=config.teacher_seconds,
        pool=config.teacher_pool,
        accelerator=accelerator,
    )
    return teachers.load(config.teacher, options, progress)


def student_frontend(config: Config, teacher: teachers.Teacher) -> Frontend:
    """What was asked for, else what the student was made for, else the teacher's own if it is small."""
    if config.frontend:
        return preset(config.frontend)
    if made_for := students.student(config.student).frontend:
        return preset(made_for)
    theirs = teacher.frontend
    if theirs is not None and theirs.frames * theirs.mels <= SENSOR_PATCH:
        return theirs
    return preset("sea-8k")
