"""From a picture to a `Parsing`, with networks that are already loaded."""
