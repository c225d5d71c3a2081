"""Stores and indexes that live on a server of their own."""
