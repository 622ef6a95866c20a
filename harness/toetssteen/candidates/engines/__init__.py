"""How a causal model is asked: token sequences in, what the model makes of them out."""
