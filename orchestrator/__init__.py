"""Routes a question to one of four architectures and turns it into a stream of typed events."""
