/* Stand-in for TensorFlow Lite Micro's log, as in a release library: there is no MicroPrintf to link. */
#pragma once

#if !defined(TF_LITE_STRIP_ERROR_STRINGS)
void MicroPrintf(const char *format, ...);
#else
template <typename... T> void MicroPrintf(const char *, T...) {}
#endif
