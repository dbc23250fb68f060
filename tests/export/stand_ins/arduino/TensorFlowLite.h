/* Stand-in for the header by which the Arduino builder finds TensorFlow Lite Micro. */
#pragma once
