"""Settings, paths, errors and the types that travel between the layers; nothing heavy is imported here."""
