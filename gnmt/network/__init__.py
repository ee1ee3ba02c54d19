"""The network: encoder, decoder and attention as plain torch modules."""
