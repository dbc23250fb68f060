"""Frames as they are: no other speed, no equaliser, no mixture, no noise, no gain."""

from edgesea.augment import Augmentation

UNCHANGED = Augmentation(
    speed_probability=0.0,
    equaliser_probability=0.0,
    mix_probability=0.0,
    noise_probability=0.0,
    gain_db=(0.0, 0.0),
)
