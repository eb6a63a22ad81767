"""The storage side: raw log, normalisation, lake, published snapshot."""
