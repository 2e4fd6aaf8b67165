"""One run on several processes, as `torchrun` starts them."""
