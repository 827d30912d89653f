"""Networks that turn fundus images into vessel logits: architecture, weights, training, evaluation."""
