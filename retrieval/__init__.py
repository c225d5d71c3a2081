"""Embedding, storage, indexes, search, fusion and evidence."""
