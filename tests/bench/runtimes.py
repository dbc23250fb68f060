"""The two runtimes that a Pi may have, in the versions that the tests install, and a name for anything."""

from edgesea.devices import agent

# What a measurement calls it: what pip is told. --setup takes the second where it cannot have the first.
REQUIREMENTS = {
    "ai-edge-litert 2.3.0": ("ai-edge-litert==2.3.0", "numpy"),
    "tflite-runtime 2.14.0": agent.PACKAGES[1],
}

# A name that a shell would take apart.
NASTY = 'o\'dd "n"; $(touch pwned) `touch pwned` \n-o\\ x'
