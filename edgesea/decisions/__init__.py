"""From embedding to decision: heads with thresholds, memories of prototypes, and how well both decide.

    heard         labelled clips as the device hears them: 16-bit samples, a frame at the device's own pace
    head          trains a head, reads and writes it
    thresholds    from pooled scores of validation clips to a threshold a class
    fold          student and head as one network
    prototypes    a memory of labelled embeddings, chosen by k-means or DPP
    mil           trained heads, over the frames of a clip

The arithmetic of a decision is in `edgesea.listen.listen`, the file that also runs on the Pi, and the same in
C.
"""
