"""Settings of training, the record of a finished training run, and distributed training without fairseq's interfaces."""
