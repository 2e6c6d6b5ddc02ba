"""How gradients flow: recorded over a training, measured along depth and time, and judged."""
