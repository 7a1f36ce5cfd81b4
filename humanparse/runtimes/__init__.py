"""A loaded network made faster, with the same contract."""
