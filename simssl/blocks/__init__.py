"""The parts that plugins are built from, in five folders whose faces list what is in them:

- `networks`: heads, a Gaussian autoencoder, teachers, batch norm over parts of a batch;
- `losses`: contrastive losses, Gaussian terms, likelihoods, penalties on second moments;
- `images`: image files, a cache of what is decoded, and pictures for a result;
- `probes`: classifiers and regressions on frozen representations, with their splits;
- `statistics`: k-means, principal components, Gaussian mixtures, neighbours, distances between sets.

`distributed` has what processes exchange, `precision` raises half precision, `files` writes where others can write,
too, `messages` has parts of sentences, and `internals` the unpromised parts of torch, which are for simssl alone.
Nothing here imports another part of simssl.
"""
