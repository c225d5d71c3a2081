"""The model runtime: a GGUF in llama.cpp, one queue, the chat template, sampling and adapters."""
