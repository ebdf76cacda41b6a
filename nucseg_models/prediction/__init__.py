"""A saved winner at work on new images: reading, segmenting, writing."""
