"""The first job: a small convolutional network learns handwritten digits, with gradients and with estimates of them."""
