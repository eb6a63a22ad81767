"""The assets, one module for each part of the data flow: usage and recordings, then the published tables."""
