"""Classification losses: on probabilities, logits or signed scores."""

__all__: list[str] = []
