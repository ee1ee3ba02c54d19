"""Settings of training, the record of a finished training, and distributed training without fairseq's interfaces."""
