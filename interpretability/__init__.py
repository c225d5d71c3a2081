"""What happens inside the model: tokens, embeddings, attention, layers, next-token probabilities."""
