"""From examples to an adapter for the very GGUF one chats with."""
