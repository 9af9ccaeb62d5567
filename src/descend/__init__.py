"""descend minimizes anything: with gradients, without them, or with estimates of them."""

__all__: list[str] = []
