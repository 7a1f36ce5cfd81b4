"""Videos: frames in, labels out, and both as videos again."""
