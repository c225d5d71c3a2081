"""One file per family of formats; `ingest.loaders.registry` finds the right one."""
