"""What becomes C: a trained model, its frontend, the boards that run them. Nothing here imports `edgesea`."""

__version__ = "0.1.0"
