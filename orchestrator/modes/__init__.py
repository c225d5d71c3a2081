"""The four architectures, one module each."""
