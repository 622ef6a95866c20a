"""Which files of a model folder hold what."""

# Unpickling runs whatever the file says; safetensors and GGUF hold numbers only.
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
DESCRIBING = ("*.json", "*.jinja", "*.model", "*.txt")
CODE = ("*.py",)  # the model itself, where the card says trust_remote_code
