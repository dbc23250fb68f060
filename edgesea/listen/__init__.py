"""Listening on a Pi, or here: `listen.py` is the one file that goes to the device; the rest is the
workbench's.
"""
