"""What becomes C: an int8 .tflite file, checked, planned and compiled ahead of time into plain C99."""
